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
from tests.support.moves import move, refusal, stored
from tests.support.owners import Owner
from tests.support.stores import SAMPLES, T, exported, known, notes, put, rejects, said, texts, thread


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


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


@pytest.mark.parametrize("depth", [150, 250, 400, 900])
async def test_a_thread_too_deep_for_the_store_is_rejected_and_hides_no_other(
    url: str, tmp_path: Path, depth: int
) -> None:
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep]
    path = put(tmp_path, {"threads": [thread("t1", metadata={"a": deep}), thread("t2")]})
    assert await move(path, url, user="alice") in (DONE, DONE_WITH_REJECTS)
    engine = create_engine(url)
    page = await NeonChatKitStore[Owner](engine).load_threads(10, None, "desc", Owner("alice"))
    await engine.dispose()
    told = [one["id"] for one in rejects(path)]
    assert {"t1", "t2"} == {one.id for one in page.data} | set(told)
    assert "t2" not in told


@pytest.mark.parametrize("depth", [150, 250, 400, 900, *range(915, 1000, 12)])
async def test_a_message_of_any_depth_is_taken_or_rejected(url: str, tmp_path: Path, depth: int) -> None:
    item = json.dumps(said("m1", "t1", "x"))[:-1] + f', "more": {"[" * depth}"x"{"]" * depth}}}'
    path = put(tmp_path, f'{{"threads": [{json.dumps(thread("t1"))}], "items": {{"t1": [{item}]}}}}')
    assert await move(path, url, user="alice") in (DONE, DONE_WITH_REJECTS)
    found = (await stored(url, "alice"))["t1"][1]
    assert len(found) + len(rejects(path)) == 1


async def test_an_export_whose_members_were_sorted_is_refused_before_its_bytes_are_lost(
    url: str, tmp_path: Path
) -> None:
    path = put(tmp_path, json.dumps(exported(), sort_keys=True))
    assert "`format`" in await refusal(path, url, user="alice")
    assert not await stored(url, "alice")


@pytest.mark.parametrize("options", [{"user": ""}, {"user_from": ""}, {"user_from": "metadata..id"}])
async def test_a_user_of_no_letters_is_refused(url: str, tmp_path: Path, options: dict[str, str]) -> None:
    users = put(tmp_path, {"other": "bob"}, "users.json")
    assert await refusal(put(tmp_path, exported(), "export.json"), url, **options)
    assert await refusal(put(tmp_path, {"threads": [thread("t1")]}), url, user_map=users, **options)


@pytest.mark.parametrize("option", ["--user", "--user-from"])
async def test_a_user_of_no_letters_is_refused_before_the_first_schema_is_fetched(
    url: str, empty_database_url: str, tmp_path: Path, option: str
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute((SAMPLES / "first_schema.sql").read_text())
    await connection.close()
    saved = tmp_path / "saved.json"
    words = ["import-schema", empty_database_url, "--save", str(saved), option, "", "--database-url", url]
    assert await asyncio.to_thread(main, words) == FAILED
    assert not saved.exists()


@pytest.mark.parametrize("user", ["x" * 300, "", ["alice"], True])
async def test_a_named_user_that_cannot_be_used_is_not_replaced_by_another(
    url: str, tmp_path: Path, user: Any
) -> None:
    path = put(tmp_path, {"threads": {"t1": thread("t1", user_id=user)}})
    assert await move(path, url, user_from="user_id", user="admin") == DONE_WITH_REJECTS
    assert not await stored(url, "admin")


@pytest.mark.parametrize("payload", [{}, {"type": "x", "id": "m1", "thread_id": "t", "created_at": "never"}])
async def test_a_message_of_an_export_that_lost_its_fields_is_rejected(
    url: str, tmp_path: Path, payload: Any
) -> None:
    content = exported()
    content["items"][0]["payload"] = payload
    assert await move(put(tmp_path, content), url, user="alice") == DONE_WITH_REJECTS


async def test_metadata_kept_as_text_names_title_and_user(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1", metadata='{"title": "A title", "user_id": "bob"}')]})
    assert await move(path, url, user_from="metadata.user_id", user="fallback") == DONE
    assert (await stored(url, "bob"))["t1"][0]["title"] == "A title"


@pytest.mark.parametrize("metadata", ['{"a": "\\ud800"}', '{"a": ' + "[" * 5000])
async def test_metadata_kept_as_text_may_be_anything(url: str, tmp_path: Path, metadata: str) -> None:
    path = put(tmp_path, {"threads": [thread("t1", metadata=metadata)]})
    assert await move(path, url, user="alice") in (DONE, DONE_WITH_REJECTS)


async def test_a_user_beside_a_wrapped_thread_is_found_and_the_rest_told(url: str, tmp_path: Path) -> None:
    wrapped = {"thread": thread("t1"), "user_id": "alice", "rating": "five stars"}
    path = put(tmp_path, {"threads": {"t1": wrapped}, "items": {}})
    await move(path, url, user_from="user_id", user="fallback")
    assert list(await stored(url, "alice")) == ["t1"]
    assert "five stars" in json.dumps(notes(path))


CARRIED = {"type": "file", "id": "atc_1", "name": "a.txt", "mime_type": "text/plain"}


async def attachments(url: str) -> list[tuple[str, str | None]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT user_id, thread_id FROM chat_attachments ORDER BY user_id")
    await connection.close()
    return [tuple(row) for row in rows]


async def test_an_attachment_that_two_users_sent_is_both_users(url: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "type": "user_message", "content": [{"type": "input_text", "text": "x"}], "attachments": [CARRIED],
        "quoted_text": None, "inference_options": {},
    }  # fmt: skip
    content = {
        "threads": [thread("t1", user_id="alice"), thread("t2", user_id="bob")],
        "items": [said("m1", "t1", "x") | more, said("m2", "t2", "x") | more],
        "attachments": {"atc_1": CARRIED},
    }
    assert await move(put(tmp_path, content), url, user_from="user_id") == DONE
    assert await attachments(url) == [("alice", "t1"), ("bob", "t2")]


async def test_an_attachment_that_was_not_sent_is_in_no_thread_called_none(url: str, tmp_path: Path) -> None:
    content = {"threads": [thread("None")], "attachments": {"atc_1": CARRIED}}
    await move(put(tmp_path, content), url, user="alice")
    assert await attachments(url) == [("alice", None)]


@pytest.mark.parametrize("size", [10**30, -1, True])
async def test_an_attachment_of_no_possible_size_is_rejected(url: str, tmp_path: Path, size: int) -> None:
    content = exported()
    content["attachments"][0] |= {"bytes": None, "size": size}
    assert await move(put(tmp_path, content), url, user="alice") == DONE_WITH_REJECTS


async def test_tables_without_row_numbers_are_read(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id TEXT PRIMARY KEY, data TEXT) WITHOUT ROWID")
        db.execute("CREATE TABLE items (id TEXT PRIMARY KEY, thread_id TEXT, data TEXT) WITHOUT ROWID")
        db.execute("INSERT INTO threads VALUES ('t1', ?)", (json.dumps(thread("t1")),))
    assert await move(path, url, kind="import-sqlite", user="alice") == DONE


async def test_a_damaged_database_is_refused(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    words = ["import-sqlite", str(path), "--user", "alice", "--database-url", url]
    assert await asyncio.to_thread(main, words) == FAILED


async def test_broken_records_of_a_table_without_ids_are_rejected(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id TEXT, data TEXT)")
        db.execute("CREATE TABLE items (thread_id TEXT, data TEXT)")
        db.execute("INSERT INTO threads VALUES (NULL, ?)", (json.dumps(thread("t1")),))
        db.execute("INSERT INTO items VALUES ('t1', 'no json')")
    assert await move(path, url, kind="import-sqlite", user="alice") == DONE_WITH_REJECTS
    assert len(rejects(path)) == 2


async def test_both_items_of_one_name_are_taken(url: str, tmp_path: Path) -> None:
    one, two = json.dumps(said("m1", "t1", "one")), json.dumps(said("m2", "t1", "two"))
    threads = json.dumps([thread("t1")])
    path = put(tmp_path, f'{{"threads": {threads}, "items": {{"t1": {{"k": {one}, "k": {two}}}}}}}')
    await move(path, url, user="alice")
    assert texts(await stored(url, "alice"), "t1") == ["one", "two"]


@pytest.mark.parametrize("more", [{"items": "important"}, {"created_at": "important, yesterday at noon"}])
async def test_what_a_thread_cannot_keep_is_told(url: str, tmp_path: Path, more: Any) -> None:
    assert "important" in await known(put(tmp_path, {"threads": [thread("t1", **more)]}), url)


async def test_what_a_message_cannot_keep_is_told(url: str, tmp_path: Path) -> None:
    item = said(4711, "t1", "x") | {"created_at": "yesterday"}
    told = await known(put(tmp_path, {"threads": [thread("t1")], "items": {"t1": [item]}}), url)
    assert "4711" in told
    assert "yesterday" in told


async def test_a_record_that_is_cut_off_is_among_the_rejects(url: str, tmp_path: Path) -> None:
    items = {"t1": [said("m1", "t1", "the last words"), 1]}
    path = put(tmp_path, json.dumps({"threads": [thread("t1")], "items": items})[:-60])
    assert await move(path, url, user="alice", partial=True) == DONE_WITH_REJECTS
    assert "m1" in json.dumps(rejects(path))


async def test_null_in_place_of_a_record_is_told(url: str, tmp_path: Path) -> None:
    content = {"threads": {"t1": thread("t1"), "t2": None}, "items": {"t1": [None, said("m1", "t1", "x")]}}
    path = put(tmp_path, content)
    assert await move(path, url, user="alice") == DONE_WITH_REJECTS
    assert len(rejects(path)) == 2


async def test_a_row_by_its_id_is_one_record_even_without_a_type(url: str, tmp_path: Path) -> None:
    row = {"id": "m1", "thread_id": "t1", "role": "user", "content": "hello", "created_at": T}
    await move(put(tmp_path, {"threads": [thread("t1")], "items": {"m1": row}}), url, user="alice")
    assert texts(await stored(url, "alice"), "t1") == ["hello"]


async def test_an_item_without_an_id_in_its_thread_and_beside_it_comes_once(url: str, tmp_path: Path) -> None:
    item = {name: value for name, value in said("x", "t1", "once").items() if name != "id"}
    content = {"threads": {"t1": thread("t1", items=[item])}, "items": {"t1": [item]}}
    await move(put(tmp_path, content), url, user="alice")
    assert texts(await stored(url, "alice"), "t1") == ["once"]
