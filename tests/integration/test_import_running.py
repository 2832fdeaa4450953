"""How an import runs: what it reads, what it leaves alone, and how it goes on."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import migrations_data.run as run_module
from app.database import create_engine
from app.stores import NeonChatKitStore
from migrations_data.run import DONE, FAILED
from tests.support.moves import move, stored
from tests.support.owners import Owner

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
    back_up = run_module.back_up

    def and_then_written(source: Path) -> Any:
        result = back_up(source)
        put(tmp_path, {"threads": [thread("t1")]})
        return result

    monkeypatch.setattr(run_module, "back_up", and_then_written)
    assert await move(path, url, user="alice") == DONE
    assert list(await stored(url, "alice")) == ["t1", "t2"]
