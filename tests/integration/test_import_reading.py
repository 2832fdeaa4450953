"""Reading what is to be imported: nothing goes to the wrong conversation, or away without a word."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.cli import main
from app.database import create_engine
from app.stores import NeonChatKitStore
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from tests.support.moves import lines_of, move, refusal, stored
from tests.support.owners import Owner

SAMPLES = Path(__file__).parents[2] / "migrations_data" / "samples"
T = "2025-01-01T00:00:00"


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


def thread(key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "created_at": T, "title": None, "status": {"type": "active"}, "metadata": {}, **more}


def said(key: Any, of: str, text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": key, "thread_id": of, "created_at": T, "type": "assistant_message", "content": content, **more,
    }  # fmt: skip


def put(folder: Path, content: Any, name: str = "store.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def exported() -> Any:
    return json.loads((SAMPLES / "export.json").read_text())


def rejects(path: Path) -> list[dict[str, Any]]:
    return lines_of(path.with_name(path.name + ".rejects.jsonl"))


def notes(path: Path) -> list[dict[str, Any]]:
    return lines_of(path.with_name(path.name + ".report.jsonl"))


def texts(found: Any, key: str) -> list[str]:
    return [item["content"][0]["text"] for item in found[key][1]]


async def test_messages_in_a_thread_of_another_user_with_the_same_id_are_rejected(
    url: str, tmp_path: Path
) -> None:
    threads = [
        thread("t1", user_id="alice", items=[said("m1", "t1", "of alice")]),
        thread("t1", user_id="bob", items=[said("m2", "t1", "secret of bob")]),
    ]
    path = put(tmp_path, {"items": [said("m3", "t1", "of nobody knows whom")], "threads": threads})
    assert await move(path, url, user_from="user_id") == DONE_WITH_REJECTS
    assert texts(await stored(url, "alice"), "t1") == ["of alice"]
    assert [json.loads(one["record"])["id"] for one in rejects(path)] == ["t1", "m2", "m3"]


async def test_a_database_with_one_thread_id_of_two_users_gives_each_message_to_its_user_only(
    url: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id, user_id, created_at, data, PRIMARY KEY (user_id, id))")
        db.execute("CREATE TABLE items (id, thread_id, user_id, created_at, data)")
        for who in ("alice", "bob"):
            data = json.dumps(said(who, "t1", f"of {who}"))
            db.execute("INSERT INTO threads VALUES ('t1', ?, ?, ?)", (who, T, json.dumps(thread("t1"))))
            db.execute("INSERT INTO items VALUES (?, 't1', ?, ?, ?)", (who, who, T, data))
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE_WITH_REJECTS
    assert texts(await stored(url, "alice"), "t1") == ["of alice"]
    assert len(rejects(path)) == 2


async def test_a_thread_of_other_content_keeps_its_messages_from_the_one_with_its_id(
    url: str, tmp_path: Path
) -> None:
    threads = [
        thread("t1", title=title, items=[said(f"m{title}", "t1", f"of {title}")]) for title in ("A", "B")
    ]
    await move(put(tmp_path, {"threads": threads}), url, user="alice")
    assert texts(await stored(url, "alice"), "t1") == ["of A"]


async def test_ids_that_become_the_same_do_not_mix_their_messages(url: str, tmp_path: Path) -> None:
    a, b = "t\ud800", "t\ud801"
    items = {a: [said("m1", a, "of a")], b: [said("m2", b, "of b")]}
    path = put(tmp_path, {"threads": [thread(a), thread(b)], "items": items})
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    assert all(len(found) < 2 for _, found in (await stored(url, "alice")).values())


async def test_messages_of_an_id_that_becomes_that_of_another_thread_are_rejected(
    url: str, tmp_path: Path
) -> None:
    items = {"t\ud801": [said("m2", "t\ud801", "of b")]}
    path = put(tmp_path, {"threads": [thread("t\ud800")], "items": items})
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    assert [found for _, found in (await stored(url, "alice")).values()] == [[]]
