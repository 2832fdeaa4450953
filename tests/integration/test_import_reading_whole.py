"""Whatever a store says is kept in what it becomes, or told with its own words."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrations_data.run import DONE, DONE_WITH_REJECTS
from tests.support.moves import move, rows_of, stored
from tests.support.stores import T, exported, known, notes, put, rejects, said, texts, thread


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


async def test_what_stands_beside_a_wrapped_thread_is_kept_in_it(url: str, tmp_path: Path) -> None:
    wrapped = {
        "thread": {"id": "t1", "title": None},
        "created_at": T,
        "rating": ["five", 1.5],
        "title": "Else",
    }
    path = put(tmp_path, {"threads": {"t1": wrapped}, "items": {}})
    assert await move(path, url, user="alice") == DONE
    ((found, _),) = (await stored(url, "alice")).values()
    assert (found["created_at"], found["rating"], found["title"]) == (T, ["five", 1.5], None)
    # The thread says otherwise itself.
    (note,) = [one for one in notes(path) if "left out" in one["problem"]]
    assert (note["id"], json.loads(note["more"])) == ("t1", {"title": "Else"})


async def test_items_within_and_beside_a_wrapped_thread_are_all_taken(url: str, tmp_path: Path) -> None:
    inner = thread("t1", items=[said("m1", "t1", "within")])
    path = put(tmp_path, {"threads": [{"thread": inner, "items": [said("m2", "t1", "beside")]}]})
    assert await move(path, url, user="alice") == DONE
    assert texts(await stored(url, "alice"), "t1") == ["within", "beside"]


async def test_records_of_a_database_keep_what_stands_around_and_in_them(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    data = {"thread": thread("t1", items=[said("m1", "t1", "in the thread")]), "rating": "five stars"}
    item = {"item": said("m2", "t1", "of its own"), "liked": "very much", "type": "else"}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id, user_id, created_at, data)")
        db.execute("CREATE TABLE items (id, thread_id, created_at, data)")
        db.execute("INSERT INTO threads VALUES ('t1', 'alice', ?, ?)", (T, json.dumps(data)))
        db.execute("INSERT INTO items VALUES ('m2', 't1', ?, ?)", (T, json.dumps(item)))
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE
    found, items = (await stored(url, "alice"))["t1"]
    assert (found["rating"], items[1]["liked"]) == ("five stars", "very much")
    assert [one["content"][0]["text"] for one in items] == ["in the thread", "of its own"]
    (note,) = [one for one in notes(path) if "left out" in one["problem"]]
    assert json.loads(note["more"]) == {"type": "else"}


async def test_columns_of_a_database_that_a_record_lacks_are_put_into_it(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    bare = {name: value for name, value in said("m1", "t1", "x").items() if name not in ("id", "created_at")}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id, user_id, created_at, data, title, metadata, size)")
        db.execute("CREATE TABLE items (id, thread_id, user_id, created_at, data, liked, type)")
        data = json.dumps({"id": "t1"})
        metadata = '{"topic": "tea"}'
        db.execute("INSERT INTO threads VALUES ('t1', 'alice', ?, ?, 'Tea', ?, 9e999)", (T, data, metadata))
        db.execute(
            "INSERT INTO items VALUES ('m1', 't1', 'alice', ?, ?, 1.5, 'other')", (T, json.dumps(bare))
        )
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE
    found, (item,) = (await stored(url, "alice"))["t1"]
    assert (found["title"], found["metadata"], found["size"]) == ("Tea", {"topic": "tea"}, "inf")
    assert (item["id"], item["created_at"], item["liked"]) == ("m1", T, 1.5)
    assert [one["more"] for one in notes(path)] == ['"other"']


async def test_an_item_of_another_user_than_its_thread_is_shown_to_nobody(url: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE threads (id, user_id, created_at, data)")
        db.execute("CREATE TABLE items (id, thread_id, user_id, created_at, data)")
        db.execute("INSERT INTO threads VALUES ('t1', 'alice', ?, ?)", (T, json.dumps(thread("t1"))))
        for who in ("alice", "bob"):
            data = json.dumps(said(who, "t1", f"of {who}"))
            db.execute("INSERT INTO items VALUES (?, 't1', ?, ?, ?)", (who, who, T, data))
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE_WITH_REJECTS
    assert texts(await stored(url, "alice"), "t1") == ["of alice"]
    assert json.loads(rejects(path)[0]["record"])["id"] == "bob"


@pytest.mark.parametrize("given", ["yesterday at noon", 1e300, {"at": 1}, [], True])
async def test_a_time_that_cannot_be_read_stays_beside_the_one_that_it_got(
    url: str, tmp_path: Path, given: Any
) -> None:
    items = [said("m1", "t1", "x", created_at=given)]
    path = put(tmp_path, {"threads": [thread("t1", created_at=given)], "items": items})
    assert await move(path, url, user="alice") == DONE
    found, (item,) = (await stored(url, "alice"))["t1"]
    assert found["original_created_at"] == item["original_created_at"] == given
    assert {one["id"] for one in notes(path)} == {"t1", "m1"}


@pytest.mark.parametrize("given", [4711, 1.5, ["a"]])
async def test_an_id_that_is_no_text_stays_beside_the_one_that_the_item_got(
    url: str, tmp_path: Path, given: Any
) -> None:
    path = put(tmp_path, {"threads": [thread("t1")], "items": [said(given, "t1", "x")]})
    assert await move(path, url, user="alice") == DONE
    (item,) = (await stored(url, "alice"))["t1"][1]
    assert item["original_id"] == given
    assert json.dumps(given) in notes(path)[0]["more"]


async def test_what_becomes_another_status_stays_beside_it(url: str, tmp_path: Path) -> None:
    path = put(tmp_path, {"threads": [thread("t1", status={"type": "snoozed", "until": T})]})
    assert await move(path, url, user="alice") == DONE
    ((found, _),) = (await stored(url, "alice")).values()
    assert (found["status"], found["original_status"]) == (
        {"type": "active"},
        {"type": "snoozed", "until": T},
    )


async def test_an_item_under_a_name_that_has_no_id_gets_this_name(url: str, tmp_path: Path) -> None:
    item = {name: value for name, value in said("x", "t1", "once").items() if name != "id"}
    other = said("m2", "t1", "two")
    path = put(tmp_path, {"threads": [thread("t1")], "items": {"t1": {"m1": item, "elsewhere": other}}})
    assert await move(path, url, user="alice") == DONE
    assert [one["id"] for one in (await stored(url, "alice"))["t1"][1]] == ["m1", "m2"]
    assert "elsewhere" in json.dumps(notes(path))


@pytest.mark.parametrize("more", [{}, {"thread_id": "t1"}])
async def test_the_only_item_of_a_thread_may_stand_under_its_name(
    url: str, tmp_path: Path, more: dict[str, str]
) -> None:
    item = {"type": "end_of_turn", "created_at": T, **more}
    path = put(tmp_path, {"threads": [thread("t1")], "items": {"t1": item}})
    assert await move(path, url, user="alice") == DONE
    (found,) = (await stored(url, "alice"))["t1"][1]
    assert found["id"] != "t1"


async def test_what_a_page_of_items_says_beside_them_is_told(url: str, tmp_path: Path) -> None:
    page = {"data": [said("m1", "t1", "x")], "has_more": True, "after": "m1"}
    for items, of in (({"t1": page}, {}), ({}, {"items": page})):
        assert '\\"after\\":\\"m1\\"' in await known(
            put(tmp_path, {"threads": [thread("t1", **of)], "items": items}), url
        )


async def test_bytes_that_cannot_be_read_are_among_the_rejects(url: str, tmp_path: Path) -> None:
    content = exported()
    content["attachments"][0]["bytes"] = "no base64!"
    path = put(tmp_path, content)
    assert await move(path, url) == DONE_WITH_REJECTS
    (reject,) = rejects(path)
    assert json.loads(reject["record"])["bytes"] == "no base64!"


async def test_what_an_export_says_beyond_what_is_known_is_told(url: str, tmp_path: Path) -> None:
    content = exported()
    for section in ("threads", "items", "attachments"):
        content[section][0]["newer"] = f"of {section}"
    path = put(tmp_path, content)
    assert await move(path, url) == DONE
    assert [json.loads(one["more"])["newer"] for one in notes(path)] == [
        "of threads", "of items", "of attachments",
    ]  # fmt: skip


THREAD = json.dumps(thread("t1"))[:-1]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"threads": [{THREAD}, "metadata": {{"a": {{"k": "one", "k": "two"}}}}}}]}}',
        f'{{"threads": [{THREAD}, "note": "one", "note": "two"}}]}}',
        f'{{"threads": [{{"thread": {THREAD}}}, "note": "one", "note": "two"}}]}}',
        '{"threads": [{"id": "t1", "metadata": "{\\"k\\": \\"one\\", \\"k\\": \\"two\\"}"}]}',
        f'{{"threads": [{THREAD}}}], "items": [{{"thread_id": "t1", "id": "m", "k": "one", "k": "two"}}]}}',
        f'{{"threads": [{THREAD}, "items": [{{"id": "m", "more": {{"k": "one", "k": "two"}}}}]}}]}}',
        '{"threads": [], "attachments":[{"id":"a","type":"file","name":"one","name": "two","mime_type":""}]}',
    ],
)
async def test_members_of_one_name_are_told_with_the_whole_record(
    url: str, tmp_path: Path, text: str
) -> None:
    path = put(tmp_path, text.replace(', "', ',\n"', 1))
    assert await move(path, url, user="alice") == DONE
    (note,) = [one for one in notes(path) if "several members of one name" in one["problem"]]
    assert '"one"' in note["more"]
    assert '"two"' in note["more"]
    assert note["id"] in ("t1", "m", "a")
    assert note["line"]


async def test_members_of_one_name_stay_in_what_is_stored(url: str, tmp_path: Path) -> None:
    item = '{"thread_id": "t1", "id": 7, "more": {"k": "one", "k": 2.50}}'
    await move(put(tmp_path, f'{{"threads": [{THREAD}}}], "items": [{item}]}}'), url, user="alice")
    assert '"more":{"k":"one","k":2.50}' in str(await rows_of(url, "chat_thread_items"))


async def test_items_of_a_thread_that_has_them_twice_are_all_taken(url: str, tmp_path: Path) -> None:
    one, two = (json.dumps([said(key, "t1", key)]) for key in ("m1", "m2"))
    page = f'{{"data": {one}, "data": {two}}}'
    for number, items in enumerate((f'"items": {one}, "items": {two}', f'"items": {page}')):
        path = put(tmp_path, f'{{"threads": [{THREAD}, {items}}}]}}', f"{number}.json")
        user = f"user{number}"
        assert await move(path, url, user=user) == DONE
        assert texts(await stored(url, user), "t1") == ["m1", "m2"]


async def test_equal_items_beyond_those_that_stand_in_their_thread_are_taken(
    url: str, tmp_path: Path
) -> None:
    one = said("__fake_id__", "t1", "ok")
    path = put(tmp_path, {"threads": {"t1": thread("t1", items=[one, one])}, "items": {"t1": [one] * 3}})
    assert await move(path, url, user="alice") == DONE
    assert texts(await stored(url, "alice"), "t1") == ["ok"] * 3


SOURCE = {"type": "annotation", "source": {"type": "url", "title": "S", "url": "https://s"}, "index": 1}


async def test_a_message_that_chatkit_can_read_stays_as_it_is_whatever_its_columns(
    url: str, tmp_path: Path
) -> None:
    item = said("m1", "t1", "see", role="assistant")
    item["content"][0]["annotations"] = [SOURCE]
    tag: dict[str, Any] = {
        "type": "input_tag",
        "id": "a",
        "text": "@a",
        "data": {},
        "group": None,
        "interactive": False,
    }
    asked = item | {
        "id": "m2",
        "role": "user",
        "type": "user_message",
        "content": [tag],
        "inference_options": {},
    }
    path = put(tmp_path, {"threads": [thread("t1")], "items": {"t1": [item, asked]}})
    assert await move(path, url, user="alice") == DONE
    assert (await stored(url, "alice"))["t1"][1] == [item, asked]


@pytest.mark.parametrize(
    "content",
    [
        {"text": "see", "annotations": [SOURCE, {"type": "url_citation"}]},
        [{"type": "output_text", "text": "see", "annotations": [SOURCE], "logprobs": []}],
        [{"type": "text", "text": {"value": "see", "annotations": [SOURCE, 7]}}],
        {"type": "output_text", "text": "see", "annotations": [SOURCE], "logprobs": []},
    ],
)
async def test_sources_of_a_row_that_can_be_read_are_shown(url: str, tmp_path: Path, content: Any) -> None:
    row = {"id": "m1", "thread_id": "t1", "created_at": T, "role": "assistant", "content": content}
    path = put(tmp_path, {"threads": [thread("t1")], "items": {"m1": row}})
    assert await move(path, url, user="alice") == DONE
    (item,) = (await stored(url, "alice"))["t1"][1]
    (part,) = item["content"]
    assert (item["type"], part["text"], part["annotations"]) == ("assistant_message", "see", [SOURCE])
    assert item.get("original_content", item["content"]) == content


async def test_columns_of_a_row_that_are_no_part_of_its_message_stay(url: str, tmp_path: Path) -> None:
    row = {
        "id": "m1", "thread_id": "t1", "created_at": T, "role": "user", "content": "hello",
        "quoted_text": "as you said", "attachments": {"not": "a list"}, "type": "message",
    }  # fmt: skip
    whole = {"id": "m3", "type": "end_of_turn", "created_at": T, "more": 1}
    other = {"id": "m2", "thread_id": "t1", "created_at": "2024-01-01", "role": "assistant", "content": whole}
    path = put(tmp_path, {"threads": [thread("t1")], "items": {"t1": [row, other]}})
    assert await move(path, url, user="alice") == DONE
    message, end = (await stored(url, "alice"))["t1"][1]
    assert (message["quoted_text"], message["attachments"]) == ("as you said", [])
    assert message["original_attachments"] == {"not": "a list"}
    assert (end["id"], end["original_id"], end["original_created_at"]) == ("m3", "m2", "2024-01-01")
