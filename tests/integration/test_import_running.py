"""How an import runs: what it reads, what it leaves alone, and how it goes on."""

import asyncio
import gzip
import json
import os
import sqlite3
import zipfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from app.cli import main
from app.database import create_engine
from app.repositories.moved import MovedBatch
from app.repositories.moves import MoveRepository
from app.stores import NeonChatKitStore
from migrations_data.backup import back_up
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from migrations_data.verify import Verifier
from tests.support.exports import run as command
from tests.support.moves import lines_of, move, refusal, stored
from tests.support.owners import Owner

SAMPLES = Path(__file__).parents[2] / "migrations_data" / "samples"
TIME = "2025-01-01T00:00:00"
FULL_DISK = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON chat_thread_items FOR EACH ROW EXECUTE FUNCTION full_disk()
"""


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[NeonChatKitStore[Owner]]:
    engine = create_engine(url)
    yield NeonChatKitStore(engine)
    await engine.dispose()


def thread(key: str, **more: Any) -> dict[str, Any]:
    status = {"type": "active"}
    return {"id": key, "created_at": TIME, "title": None, "status": status, "metadata": {}, **more}


def said(key: str, of: str, text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": key,
        "thread_id": of,
        "created_at": TIME,
        "type": "assistant_message",
        "content": content,
    }


def put(folder: Path, content: Any, name: str = "store.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def modes_of(folder: Path) -> dict[str, int]:
    """Return what others may do with the files of a folder."""
    return {file.name: file.stat().st_mode & 0o077 for file in folder.iterdir() if file.is_file()}


def conversation(number: int) -> dict[str, Any]:
    """Return a store of one thread with so many items."""
    return {"threads": [thread("t1")], "items": {"t1": [said(f"m{n}", "t1", str(n)) for n in range(number)]}}


async def test_a_full_disk_ends_an_import_unfinished_and_the_next_run_loses_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, conversation(5))
    connection = await asyncpg.connect(url)
    await connection.execute(FULL_DISK)
    assert await move(path, url, user="alice") == FAILED
    assert "DiskFullError" in capsys.readouterr().out
    assert await connection.fetchval("SELECT finished_at FROM chat_data_moves") is None
    await connection.execute("DROP TRIGGER full_disk ON chat_thread_items")
    await connection.close()
    assert await move(path, url, user="alice") == DONE
    assert len((await stored(url, "alice"))["t1"][1]) == 5


async def test_what_is_read_is_what_was_backed_up(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, {"threads": [thread("t1"), thread("t2")]})

    def and_then_written(source: Path) -> Any:
        result = back_up(source)
        put(tmp_path, {"threads": [thread("t1")]})
        return result

    monkeypatch.setattr("migrations_data.run.back_up", and_then_written)
    assert await move(path, url, user="alice") == DONE
    assert list(await stored(url, "alice")) == ["t1", "t2"]


async def test_an_import_neither_deletes_nor_overwrites_a_file_of_another(url: str, tmp_path: Path) -> None:
    path, mine = put(tmp_path, {"threads": [thread("t1")]}), put(tmp_path, "precious", "notes.txt")
    assert await move(path, url, user="alice", apply=False, rejects=mine) == DONE
    assert "no list of this command's" in await refusal(path, url, user="alice", rejects=mine)
    assert "Rejects cannot go into" in await refusal(path, url, user="alice", rejects=path)
    broken = put(tmp_path, {"threads": [thread("t1"), 7]}, "broken.json")
    assert "no list" in await refusal(broken, url, user="alice", apply=False, rejects=mine)
    assert mine.read_text() == "precious"
    assert path.exists()
    assert await stored(url, "alice") == {}


async def test_a_dry_run_deletes_no_list_of_an_earlier_run(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1"), 7]})
    listed = path.with_name("store.json.rejects.jsonl")
    await move(path, url, user="alice", apply=False)
    put(tmp_path, {"threads": [thread("t1")]})
    await move(path, url, user="alice", apply=False)
    assert listed.exists()
    await move(path, url, user="alice")
    assert not listed.exists()


async def test_saving_the_first_schema_overwrites_only_what_was_saved_before(
    url: str, empty_database_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute((SAMPLES / "first_schema.sql").read_text())
    await connection.close()
    mine = put(tmp_path, "precious", "notes.txt")
    arguments = ["import-schema", empty_database_url, "--database-url", url, "--save"]
    assert await asyncio.to_thread(main, [*arguments, str(mine)]) == FAILED
    assert mine.read_text() == "precious"
    for _ in range(2):
        assert await asyncio.to_thread(main, [*arguments, str(tmp_path / "saved.json")]) == DONE


@pytest.mark.parametrize("kind", ["import-json", "import-sqlite"])
async def test_files_beside_a_private_store_are_private(url: str, tmp_path: Path, kind: str) -> None:
    path = put(tmp_path, {"threads": [thread("t1"), 7], "items": {"gone": [said("m", "gone", "secret")]}})
    if kind == "import-sqlite":
        path.unlink()
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript((SAMPLES / "sample_store.sql").read_text())
    path.chmod(0o600)
    old = os.umask(0o022)
    try:
        await move(path, url, kind=kind, user="alice")
    finally:
        os.umask(old)
    modes = modes_of(tmp_path)
    assert len(modes) > 1
    assert not any(modes.values()), modes


async def killed_before_verifying(path: Path, url: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Verifier, "verify", killed)
        with pytest.raises(KeyboardInterrupt):
            await move(path, url, user="alice", **more)


async def test_what_is_deleted_before_an_import_is_finished_is_not_brought_back(
    url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, {"threads": [thread("t1"), thread("t2")]})
    await killed_before_verifying(path, url, monkeypatch)
    await store.delete_thread("t1", Owner("alice"))
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    assert list(await stored(url, "alice")) == ["t2"]


async def test_who_was_erased_is_not_brought_back_by_going_on(
    url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, {"threads": [thread("t1", user_id="alice"), thread("t2", user_id="bob")]})
    await killed_before_verifying(path, url, monkeypatch, user_from="user_id")
    await store.delete_everything(Owner("alice"))
    assert await move(path, url, user="alice", user_from="user_id") == DONE_WITH_REJECTS
    assert await stored(url, "alice") == {}
    assert list(await stored(url, "bob")) == ["t2"]


async def test_a_thread_deleted_between_two_batches_is_not_brought_back_by_half(
    url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = put(tmp_path, conversation(4)), MoveRepository.write
    calls: list[MovedBatch] = []

    async def slow(self: MoveRepository, ledger: str, plan: str, batch: MovedBatch) -> Any:
        if len(calls) == 1:
            await store.delete_thread("t1", Owner("alice"))
        calls.append(batch)
        return await write(self, ledger, plan, batch)

    monkeypatch.setattr(MoveRepository, "write", slow)
    assert await move(path, url, user="alice", batch=3) == DONE_WITH_REJECTS
    assert await stored(url, "alice") == {}


async def test_an_import_is_repeated_when_that_is_wanted(
    url: str, tmp_path: Path, store: NeonChatKitStore[Owner], capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, conversation(2))
    await move(path, url, user="alice")
    await store.delete_everything(Owner("alice"))
    assert await move(path, url, user="alice") == DONE
    assert "--again" in capsys.readouterr().out
    assert await stored(url, "alice") == {}
    assert await move(path, url, user="alice", again=True) == DONE
    assert len((await stored(url, "alice"))["t1"][1]) == 2


async def test_a_finished_import_with_rejects_says_so_each_time(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1"), 7]})
    for _ in range(2):
        assert await move(path, url, user="alice") == DONE_WITH_REJECTS


async def test_ids_cannot_command_the_terminal(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, {"threads": {"t\x1b]0;owned\x07": {"status": "\x1b[2J"}}})
    await move(path, url, user="alice")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\\x1b]0;owned" in said


async def test_a_terminal_of_another_encoding_ends_no_import(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1")]})
    options = {"DATABASE_URL": url, "PYTHONIOENCODING": "latin-1"}
    ran = await command("import-json", str(path), "--user", "alice", "--apply", **options)
    assert ran.status == DONE, ran.errors


@pytest.mark.parametrize("name", ["gzip", "zip"])
async def test_a_compressed_store_is_refused_in_words_that_help(url: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "store.json"
    if name == "gzip":
        path.write_bytes(gzip.compress(b'{"threads": []}'))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("store.json", "{}")
    assert f"compressed ({name})" in await refusal(path, url, user="alice")


async def test_an_attachment_without_the_bytes_that_the_source_has_is_told(url: str, tmp_path: Path) -> None:
    content = json.loads((SAMPLES / "export.json").read_text())
    without = json.loads((SAMPLES / "export.json").read_text())
    for one in without["attachments"]:
        one["bytes"] = None
    await move(put(tmp_path, without, "without.json"), url, user="alice")
    content["attachments"][0]["thread_id"] = "thr_other"
    path = put(tmp_path, content, "with.json")
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    (reject,) = lines_of(path.with_name("with.json.rejects.jsonl"))
    assert "thread" in reject["reason"]
    assert "bytes" in reject["reason"]
