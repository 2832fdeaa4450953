"""Whose a thread is: by whatever name it is listed, and never a visitor's by mistake."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.cli import main
from app.files.blobs import Blobs
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from tests.support.moves import export, move, refusal, stored
from tests.support.stores import SAMPLES, T, exported, notes, put, rejects, said, texts, thread

VISITOR = "visitor:abcdefghijklmnopqrstuv"


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


@pytest.mark.parametrize("items", [{"t1": [said("m1", "t1", "x")]}, [said("m1", "t1", "x")]])
@pytest.mark.parametrize("name", ["t1", "0"])
async def test_a_thread_is_listed_by_its_id_or_by_its_name_in_the_source(
    url: str, tmp_path: Path, items: Any, name: str
) -> None:
    path = put(tmp_path, {"threads": {"0": thread("t1")}, "items": items})
    users = put(tmp_path, {name: "alice"}, "users.json")
    assert await move(path, url, user_map=users, user="fallback") == DONE
    assert texts(await stored(url, "alice"), "t1") == ["x"]


async def test_a_thread_that_is_listed_for_two_users_is_nobodys(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": {"0": thread("t1"), "t2": thread("t2")}})
    users = put(tmp_path, {"0": "alice", "t1": "bob"}, "users.json")
    assert await move(path, url, user_map=users, user="fallback") == DONE_WITH_REJECTS
    assert [one["id"] for one in rejects(path)] == ["0"]
    assert [list(await stored(url, user)) for user in ("alice", "bob", "fallback")] == [[], [], ["t2"]]


async def test_messages_of_a_name_that_two_threads_have_are_neithers(url: str, tmp_path: Path) -> None:
    threads = {"0": thread("1"), "1": thread("2"), "a": thread("same"), "b": thread("same")}
    items = {key: [said(f"of {key}", key, "x")] for key in ("0", "1", "2", "same")}
    path = put(tmp_path, {"threads": threads, "items": items})
    users = put(tmp_path, {"a": "bob"}, "users.json")
    assert await move(path, url, user_map=users, user="alice") == DONE_WITH_REJECTS
    found = {
        user: {key: [item["id"] for item in of] for key, (_, of) in (await stored(url, user)).items()}
        for user in ("alice", "bob")
    }
    assert found == {"alice": {"1": ["of 0"], "2": ["of 2"], "same": []}, "bob": {"same": []}}
    assert sorted(json.loads(one["record"])["id"] for one in rejects(path)) == ["of 1", "of same"]


async def test_a_thread_without_an_id_has_that_of_its_place(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": {"t1": thread("x", id=None)}, "items": {"t1": [said("m1", "t1", "x")]}})
    assert await move(path, url, user="alice") == DONE
    assert texts(await stored(url, "alice"), "t1") == ["x"]


async def test_listed_names_that_no_thread_has_are_told(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, {"threads": {"t1": thread("t1"), "0": thread("t2")}})
    listed = {"t1": "bob", "t2": "bob", **{f"T{number}": "bob" for number in range(8)}}
    await move(path, url, user_map=put(tmp_path, listed, "users.json"), user="fallback", apply=False)
    told = capsys.readouterr().out
    assert "the list of users names a thread that is not in the source (8 times)" in told
    assert "  T0\n" in told
    assert "  and 3 more" in told
    names = {one["id"] for one in notes(path) if "list of users" in one["problem"]}
    assert names == {f"T{number}" for number in range(8)}


async def test_a_visitors_id_is_given_to_no_other_conversation(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1", metadata={"user_id": VISITOR})]})
    for options in (
        {"user": VISITOR},
        {"user_map": put(tmp_path, {"t1": VISITOR}, "users.json")},
        {"user": "alice", "user_map": put(tmp_path, {"t1": VISITOR}, "users.json")},
    ):
        assert "visitor" in await refusal(path, url, **options)
    assert "visitor" in await refusal(put(tmp_path, exported(), "export.json"), url, user=VISITOR)
    status = await move(path, url, user_from="metadata.user_id", user="alice")
    assert (status, await stored(url, VISITOR), await stored(url, "alice")) == (DONE_WITH_REJECTS, {}, {})


async def test_a_visitors_id_is_refused_before_the_first_schema_is_fetched(
    url: str, empty_database_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute((SAMPLES / "first_schema.sql").read_text())
    await connection.close()
    saved = tmp_path / "saved.json"
    words = [
        "import-schema",
        empty_database_url,
        "--save",
        str(saved),
        "--user",
        VISITOR,
        "--database-url",
        url,
    ]
    assert await asyncio.to_thread(main, words) == FAILED
    assert not saved.exists()


@pytest.mark.parametrize("user", [None, VISITOR])
async def test_a_visitors_export_comes_back_to_the_visitor(
    url: str, tmp_path: Path, user: str | None
) -> None:
    path = put(tmp_path, exported() | {"user_id": VISITOR})
    assert await move(path, url, user=user) == DONE
    text = await export(url, VISITOR, Blobs.at(f"file:{tmp_path / 'files'}"))
    assert json.loads(text) == exported() | {"user_id": VISITOR}


async def test_a_thread_whose_column_and_record_name_different_users_is_nobodys(
    url: str, tmp_path: Path
) -> None:
    path = tmp_path / "chat.db"
    record = json.dumps(thread("t1", user_id="bob"))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id, user_id, created_at, data)")
        db.execute("CREATE TABLE items (id, thread_id, user_id, created_at, data)")
        db.execute("INSERT INTO threads VALUES ('t1', 'alice', ?, ?)", (T, record))
        db.execute(
            "INSERT INTO threads VALUES ('t2', 'bob', ?, ?)", (T, json.dumps(thread("t2", user_id="bob")))
        )
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE_WITH_REJECTS
    assert [list(await stored(url, user)) for user in ("alice", "bob")] == [[], ["t2"]]
    (reject,) = rejects(path)
    assert "different users" in reject["reason"]
