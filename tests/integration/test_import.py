"""Bringing data in: the stages, the refusals, the reports, and what a second run does."""

import asyncio
import io
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from app.cli import main
from app.database import create_engine
from app.database.failures import StatementFailed
from app.files.blobs import Blobs, new_file_key
from app.repositories.moved import MovedBatch
from app.repositories.moves import MoveRepository
from app.stores import NeonChatKitStore
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from tests.support.moves import export, lines_of, move, refusal, rows_of, stored
from tests.support.owners import Owner

SAMPLES = Path(__file__).parents[2] / "migrations_data" / "samples"


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a copy of a sample by its name, on a machine where files may be kept."""
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")

    def copy(name: str) -> Path:
        return Path(shutil.copy(SAMPLES / name, tmp_path))

    return copy


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[NeonChatKitStore[Owner]]:
    engine = create_engine(url)
    yield NeonChatKitStore(engine)
    await engine.dispose()


def beside_of(path: Path, pattern: str) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.{pattern}"))


def beside(path: Path, ending: str) -> list[dict[str, Any]]:
    return lines_of(path.with_name(f"{path.name}.{ending}.jsonl"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("by_id.json", (DONE, 2, 2)),
        (".chatkit_store.json", (DONE, 1, 2)),
        ("list_items_first.json", (DONE, 1, 1)),
        ("nested_and_flat.json", (DONE, 2, 3)),
        ("placeholders.json", (DONE, 1, 5)),
        ("troubles.json", (DONE_WITH_REJECTS, 2, 3)),
        ("with_attachments.json", (DONE, 1, 1)),
        ("cut_off.json", (FAILED, 0, 0)),
        ("export.json", (DONE, 1, 1)),
    ],
)
async def test_every_sample_comes_over(
    url: str, sample: Any, name: str, expected: tuple[int, int, int]
) -> None:
    status, *counts = expected
    path = sample(name)
    before = path.read_bytes()
    assert await move(path, url, user="alice") == status
    found = await stored(url, "alice")
    assert [len(found), sum(len(of) for _, of in found.values())] == counts
    (copy,) = beside_of(path, "*.bak")
    assert copy.read_bytes() == path.read_bytes() == before


def test_every_sample_is_tested() -> None:
    tested = {"first_schema.sql", "sample_store.sql"}
    (mark,) = test_every_sample_comes_over.pytestmark
    tested |= {values[0] for values in mark.args[1]}
    assert tested == {path.name for path in SAMPLES.iterdir()}


async def test_without_an_owner_it_refuses_in_words(url: str, sample: Any) -> None:
    assert "--user-from metadata.user_id" in await refusal(sample("by_id.json"), url)
    assert "255 bytes" in await refusal(sample("by_id.json"), url, user="x" * 256)
    assert not (await rows_of(url, "chat_threads"))["chat_threads"]


async def test_owners_by_a_key_of_the_metadata(url: str, sample: Any) -> None:
    assert await move(sample("by_id.json"), url, user_from="metadata.user_id") == DONE
    assert list(await stored(url, "alice")) == ["thr_a1b2c3d4"]
    assert list(await stored(url, "bob")) == ["thr_empty"]


async def test_owners_by_a_list_and_what_it_does_not_name_is_rejected(
    url: str, sample: Any, tmp_path: Path
) -> None:
    users = tmp_path / "users.json"
    users.write_text('{"thr_empty": "carol"}')
    path = sample("by_id.json")
    assert await move(path, url, user_map=users) == DONE_WITH_REJECTS
    assert list(await stored(url, "carol")) == ["thr_empty"]
    rejects = beside(path, "rejects")
    assert [(one["line"], one["id"]) for one in rejects] == [
        (3, "thr_a1b2c3d4"), (20, "thr_a1b2c3d4"), (30, "thr_a1b2c3d4"),
    ]  # fmt: skip
    assert rejects[0]["reason"] == "nothing says whose thread it is"
    assert json.loads(rejects[1]["record"])["id"] == "msg_1"


async def test_a_list_of_users_that_cannot_be_used_is_named(url: str, sample: Any, tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    for text, words in (("[]", "JSON object"), ("{", "cannot be read"), ('{"thr_1": 7}', "'thr_1'")):
        users.write_text(text)
        assert words in await refusal(sample("by_id.json"), url, user_map=users)


async def test_a_dry_run_writes_nothing_and_reports_everything(
    url: str, sample: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await rows_of(url, "chat_threads", "chat_thread_items", "chat_data_moves")
    assert await move(sample("troubles.json"), url, user="alice", apply=False) == DONE
    assert await rows_of(url, "chat_threads", "chat_thread_items", "chat_data_moves") == before
    said = capsys.readouterr().out
    assert "Found 2 threads, 3 items" in said
    assert "dry run" in said


async def test_troubles_are_told_with_line_and_id(url: str, sample: Any) -> None:
    path = sample("troubles.json")
    await move(path, url, user="alice")
    assert [(one["line"], one["id"], one["reason"]) for one in beside(path, "rejects")] == [
        (4, "thr_bad", "it is no object"),
        (10, "thr_t", "it holds NaN or Infinity, which JSON does not have"),
        (12, "thr_t", "it is no object"),
        (19, "schema", "it is no part of a store that this release knows"),
        (16, "thr_missing", "its thread is not in the source"),
    ]
    notes = {(one["line"], one["id"], one["problem"].split(",")[0]) for one in beside(path, "report")}
    assert (9, "thr_t", "half a surrogate pair") in notes
    assert (5, "thr_newer", "a status that ChatKit does not know became active") in notes
    assert (11, "msg_new", "this ChatKit cannot read the item; it is kept whole") in notes
    assert (13, "msg_moved", "the item had no time and got that of what stands before it") in notes
    assert (13, "msg_moved", "the item named another thread than the one that it is in") in notes


async def test_numbers_are_kept_to_the_digit_and_half_surrogates_replaced(url: str, sample: Any) -> None:
    await move(sample("troubles.json"), url, user="alice")
    connection = await asyncpg.connect(url)
    metadata = await connection.fetchval("SELECT metadata FROM chat_threads WHERE id = 'thr_t'")
    assert metadata == '{"since":1e23,"big":123456789012345678901234567890}'
    payload = await connection.fetchval("SELECT payload FROM chat_thread_items WHERE id = 'msg_new'")
    assert '"depth":1E400' in payload
    half = await connection.fetchval("SELECT payload FROM chat_thread_items WHERE id = 'msg_half'")
    assert "half \ufffd of it" in half
    await connection.close()


async def test_what_this_sdk_does_not_know_is_kept_as_the_store_keeps_it(
    url: str, sample: Any, store: NeonChatKitStore[Owner]
) -> None:
    await move(sample("troubles.json"), url, user="alice")
    item = await store.load_item("thr_t", "msg_new", Owner("alice"))
    assert item.type == "hidden_context_item"
    assert (await stored(url, "alice"))["thr_newer"][0]["color"] == "blue"


async def test_lists_are_in_the_order_of_last_activity(
    url: str, sample: Any, store: NeonChatKitStore[Owner]
) -> None:
    await move(sample("by_id.json"), url, user="alice")
    page = await store.load_threads(10, None, "desc", Owner("alice"))
    assert [thread.id for thread in page.data] == ["thr_empty", "thr_a1b2c3d4"]
    assert [thread.title for thread in page.data] == ["From the metadata", "Inverse kinematics"]
    summary = await store.load_summary("thr_a1b2c3d4", Owner("alice"))
    assert f"{summary.last_message_at:%Y-%m-%d %H:%M:%S %Z}" == "2025-12-16 09:30:02 UTC"


async def test_a_dump_without_nulls_and_of_an_older_sdk_is_read_as_what_it_was(
    url: str, sample: Any, store: NeonChatKitStore[Owner]
) -> None:
    await move(sample(".chatkit_store.json"), url, user="alice")
    page = await store.load_thread_items("thr_hidden", None, 10, "asc", Owner("alice"))
    assert [item.type for item in page.data] == ["user_message", "workflow"]


async def test_placeholders_and_repeated_ids_get_ids_that_stay_the_same(
    url: str, sample: Any, tmp_path: Path
) -> None:
    path = sample("placeholders.json")
    await move(path, url, user="alice")
    first = (await stored(url, "alice"))["thr_f"][1]
    assert [item["content"][0]["text"] for item in first] == ["one", "two", "three", "four", "four"]
    assert len({item["id"] for item in first}) == 5
    assert first[2]["id"] == "msg_same"
    # A newer copy of the store, with one message more.
    content = json.loads(path.read_text())
    content["items"]["thr_f"].append({**content["items"]["thr_f"][0], "created_at": "2025-08-02T00:00:00"})
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(content))
    assert await move(newer, url, user="alice") == DONE
    second = (await stored(url, "alice"))["thr_f"][1]
    assert second[:5] == first
    assert len(second) == 6


@pytest.mark.parametrize("name", ["by_id.json", "placeholders.json", "with_attachments.json"])
async def test_a_second_run_changes_nothing_whatever_the_file_is_called(
    url: str, sample: Any, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sample(name)
    await move(path, url, user="alice")
    before = await rows_of(url)
    assert await move(path, url, user="alice") == DONE
    assert await move(path.rename(tmp_path / "other.json"), url, user="alice") == DONE
    assert await rows_of(url) == before
    assert "Nothing to do" in capsys.readouterr().out


async def test_what_was_deleted_after_the_import_stays_deleted(
    url: str, sample: Any, store: NeonChatKitStore[Owner]
) -> None:
    path = sample("by_id.json")
    await move(path, url, user="alice")
    await store.delete_thread("thr_a1b2c3d4", Owner("alice"))
    await move(path, url, user="alice")
    assert list(await stored(url, "alice")) == ["thr_empty"]


async def test_what_is_there_with_other_content_stays_and_is_told(
    url: str, sample: Any, tmp_path: Path
) -> None:
    path = sample("by_id.json")
    await move(path, url, user="alice")
    other = tmp_path / "other.json"
    other.write_text(path.read_text().replace("What is a Jacobian?", "Changed"))
    assert await move(other, url, user="alice") == DONE_WITH_REJECTS
    (reject,) = beside(other, "rejects")
    assert (reject["line"], reject["id"]) == (20, "msg_1")
    assert reject["reason"].endswith("stays: content, payload")
    item = (await stored(url, "alice"))["thr_a1b2c3d4"][1][0]
    assert item["content"][0]["text"] == "What is a Jacobian?"


async def test_of_a_cut_file_nothing_is_written_unless_that_is_wanted(
    url: str, sample: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sample("cut_off.json")
    assert await move(path, url, user="alice") == FAILED
    assert await stored(url, "alice") == {}
    said = capsys.readouterr().out
    assert "the file ends in the middle of this" in said
    assert "--partial" in said
    assert await move(path, url, user="alice", partial=True) == DONE_WITH_REJECTS
    assert list(await stored(url, "alice")) == ["thr_a1b2c3d4", "thr_empty"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", "neither `threads` nor `items`"),
        (b'{"a": 1}', "neither `threads` nor `items`"),
        (b"{'threads'", "Line 1"),
        (b"\x89PNG\r\n", "neither `threads` nor `items`"),
        (b'{"format": "chatkit-neon", "version": 2, "threads": []}', "newer release"),
    ],
)
async def test_another_file_is_refused_in_words(url: str, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert words in await refusal(path, url, user="alice")


async def test_an_empty_store_is_no_problem(url: str, tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    path.write_text('{"threads": {}, "items": {}}')
    assert await move(path, url, user="alice") == DONE


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_files_of_windows_editors_are_read(url: str, sample: Any, encoding: str) -> None:
    path = sample("list_items_first.json")
    path.write_text(path.read_text(), encoding=encoding)
    assert await move(path, url, user="alice") == DONE
    assert (await stored(url, "alice"))["thr_l"][1][0]["content"][0]["text"] == "Café 🚀"


async def test_a_database_that_is_not_migrated_says_so(empty_database_url: str, sample: Any) -> None:
    assert "alembic upgrade head" in await refusal(sample("by_id.json"), empty_database_url, user="alice")


async def test_attachments_of_a_store_belong_to_their_message(
    url: str, sample: Any, store: NeonChatKitStore[Owner]
) -> None:
    await move(sample("with_attachments.json"), url, user="alice")
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT id, thread_id, item_id, file_key FROM chat_attachments ORDER BY id")
    await connection.close()
    # Without a key the sweep of unsent uploads leaves them alone.
    assert [tuple(row) for row in rows] == [
        ("atc_1", "thr_w", "msg_1", None),
        ("atc_unsent", None, None, None),
    ]
    assert (await store.load_attachment("atc_unsent", Owner("alice"))).name == "a.png"
    await store.delete_thread("thr_w", Owner("alice"))
    assert len((await rows_of(url, "chat_attachments"))["chat_attachments"]) == 1


async def test_an_export_brings_everything_back_bytes_included(
    url: str, sample: Any, store: NeonChatKitStore[Owner], tmp_path: Path
) -> None:
    blobs, alice = Blobs.at(f"file:{tmp_path / 'files'}"), Owner("alice")
    assert await move(sample("export.json"), url) == DONE
    key = new_file_key()
    await store.announce_files([key], alice)
    await blobs.put(key, io.BytesIO(bytes(range(256)) * 2000))
    attachment = (await store.load_attachment("atc_1", alice)).model_copy(update={"id": "atc_2"})
    await store.save_attachment(attachment, alice)
    assert await store.complete_file(attachment, file_key=key, size=512_000, context=alice)
    before = await export(url, "alice", blobs)
    await store.delete_everything(alice)
    path = tmp_path / "taken along.json"
    path.write_text(before)
    assert await move(path, url) == DONE
    assert await export(url, "alice", blobs) == before
    assert (await store.load_feedback("thr_x", alice)) == {"msg_1": "positive"}
    # Of those the bytes are bound; those of the first time wait for the sweep.
    connection = await asyncpg.connect(url)
    bound = set(await connection.fetch("SELECT file_key FROM chat_attachments"))
    assert len(bound) == 2
    assert not bound & set(await connection.fetch("SELECT file_key FROM chat_file_removals"))
    await connection.close()


async def test_an_export_can_go_to_another_user(url: str, sample: Any) -> None:
    assert await move(sample("export.json"), url, user="bob") == DONE
    assert await stored(url, "alice") == {}
    assert list(await stored(url, "bob")) == ["thr_x"]


async def test_the_store_of_the_samples(url: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript((SAMPLES / "sample_store.sql").read_text())
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE_WITH_REJECTS
    thread, items = (await stored(url, "demo_user"))["thr_1"]
    assert "user_id" not in thread
    assert [item["id"] for item in items] == ["msg_1", "msg_2"]
    (reject,) = beside(path, "rejects")
    assert (reject["line"], reject["id"]) == (3, "msg_3")
    assert len((await rows_of(url, "chat_attachments"))["chat_attachments"]) == 1
    before = await rows_of(url)
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE_WITH_REJECTS
    assert await rows_of(url) == before


async def test_the_first_schema(
    url: str, empty_database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner]
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute((SAMPLES / "first_schema.sql").read_text())
    await connection.close()
    saved = tmp_path / "tables.json"
    arguments = ["import-schema", empty_database_url, "--save", str(saved), "--database-url", url]
    assert await asyncio.to_thread(main, [*arguments, "--apply"]) == DONE_WITH_REJECTS
    page = await store.load_thread_items("thr_1", None, 10, "asc", Owner("alice"))
    kinds = [item.type for item in page.data]
    assert kinds == ["user_message", "assistant_message", "hidden_context_item", "user_message"]
    texts = [item.content[0].text for item in page.data if item.type in ("user_message", "assistant_message")]
    assert texts == ["Hello", "Hi", "Whole"]
    assert [one["id"] for one in beside(saved, "rejects")] == ["thr_2", "thr_2"]
    before = await rows_of(url)
    assert await asyncio.to_thread(main, [*arguments, "--apply"]) == DONE_WITH_REJECTS
    assert await rows_of(url) == before


async def test_a_database_of_this_project_is_no_first_schema(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["import-schema", url, "--save", str(tmp_path / "f"), "--database-url", url]
    assert await asyncio.to_thread(main, arguments) == FAILED
    assert "chatkit-neon export" in capsys.readouterr().err


async def test_two_at_once_double_nothing(url: str, sample: Any) -> None:
    path = sample("placeholders.json")
    await asyncio.gather(*(move(path, url, user="alice", batch=1) for _ in range(2)))
    assert len((await stored(url, "alice"))["thr_f"][1]) == 5


async def test_what_the_database_does_not_take_is_rejected_alone(
    url: str, sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MoveRepository.write

    async def picky(self: MoveRepository, move: str, plan: str, batch: MovedBatch) -> Any:
        if any(item.id == "msg_2" for item in batch.items):
            raise StatementFailed("moves.write", ValueError())
        return await write(self, move, plan, batch)

    monkeypatch.setattr(MoveRepository, "write", picky)
    path = sample("by_id.json")
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    (reject,) = beside(path, "rejects")
    assert (reject["line"], reject["id"]) == (30, "msg_2")
    assert "database does not take it" in reject["reason"]
    assert [item["id"] for item in (await stored(url, "alice"))["thr_a1b2c3d4"][1]] == ["msg_1"]


async def test_verification_sees_what_is_not_as_it_was_written(
    url: str, sample: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = MoveRepository.write

    async def careless(self: MoveRepository, move: str, plan: str, batch: MovedBatch) -> Any:
        items = [replace(item, payload=item.payload.replace("Jacobian", "lease")) for item in batch.items]
        threads = [replace(thread, title="Other") for thread in batch.threads]
        return await write(self, move, plan, replace(batch, items=items[::-1], threads=threads))

    monkeypatch.setattr(MoveRepository, "write", careless)
    path = sample("by_id.json")
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    reasons = {one["id"]: one["reason"].partition("stays: ")[2] for one in beside(path, "rejects")}
    assert reasons == {"thr_a1b2c3d4": "title", "msg_1": "content, payload", "thr_empty": "title"}
    assert "Everything is there" not in capsys.readouterr().out


async def test_what_never_arrived_is_told_loudly_and_written_by_the_next_run(
    url: str, sample: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = MoveRepository.write

    async def forgetful(self: MoveRepository, move: str, plan: str, batch: MovedBatch) -> Any:
        return await write(self, move, plan, replace(batch, items=()))

    path = sample("by_id.json")
    with monkeypatch.context() as patched:
        patched.setattr(MoveRepository, "write", forgetful)
        assert await move(path, url, user="alice") == FAILED
    assert "2 records, with all that belongs to them, did not arrive" in capsys.readouterr().out
    assert {one["id"] for one in beside(path, "report")} >= {"msg_1", "msg_2"}
    assert await move(path, url, user="alice") == DONE
    assert "2 records that had not arrived before are written now" in capsys.readouterr().out
    assert [item["id"] for item in (await stored(url, "alice"))["thr_a1b2c3d4"][1]] == ["msg_1", "msg_2"]


async def test_the_status_of_moves_is_told(url: str, sample: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["data-status", "--database-url", url]) == DONE
    assert "Nothing was brought in yet" in capsys.readouterr().out
    await move(sample("troubles.json"), url, user="alice")
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["data-status", "--database-url", url]) == DONE
    said = capsys.readouterr().out
    assert said.startswith("import-json troubles.json: finished ")
    assert said.endswith(" UTC, whole; new 2 threads, 3 items, 0 attachments, 5 rejects\n")


async def test_the_command_refuses_in_words(
    url: str, sample: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["import-json", str(tmp_path / "none.json"), "--user", "alice"], "There is no file"),
        (["import-json", str(sample("by_id.json")), "--user", "a", "--timezone", "Mars"], "no time zone"),
        (["import-json", str(sample("by_id.json"))], "Say whose conversations"),
    ):
        assert await asyncio.to_thread(main, [*arguments, "--database-url", url]) == FAILED
        assert words in capsys.readouterr().err
