"""Random stores of the SDK's own types, written in each way that starters have, come over whole."""

import json
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest_asyncio
from chatkit.types import ThreadItem, ThreadMetadata
from hypothesis import given, settings
from hypothesis import strategies as st

from app.database import create_engine
from app.files.blobs import Blobs
from app.stores import NeonChatKitStore
from app.stores.codec import without_nul
from migrations_data.run import DONE
from tests.contract import strategies
from tests.contract.samples import samples, template_items
from tests.support.legacy import Conversation, Variant, dumped, records, variants
from tests.support.moves import export, move, stored
from tests.support.owners import Owner
from tests.support.postgres import Databases


@pytest_asyncio.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    async with databases.fresh() as fresh:
        yield fresh


def conversations() -> st.SearchStrategy[list[Conversation]]:
    def with_items(thread: ThreadMetadata) -> st.SearchStrategy[Conversation]:
        items = st.lists(strategies.items(thread.id), max_size=4, unique_by=lambda item: item.id)
        return st.tuples(st.just(thread), items)

    threads = strategies.thread_metadata().flatmap(with_items)
    return st.lists(threads, min_size=1, max_size=3, unique_by=lambda one: one[0].id)


def in_file(folder: Path, text: str) -> Path:
    path = folder / f"{uuid.uuid4().hex}.json"
    path.write_text(text, encoding="utf-8")
    return path


def filled(found: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """Return what is stored without fields that were empty, and left out where it was written."""
    return {
        name: value for name, value in found.items() if name in written or value not in (None, [], {}, "")
    }


def exact(value: Any) -> str:
    """Return a value in a form that tells 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


def expected_thread(written: dict[str, Any]) -> Any:
    whole: Any = json.loads(without_nul(json.dumps(written)))
    title = whole["metadata"].get("title")
    if whole.get("title") is None and isinstance(title, str) and title:
        whole["title"] = title
    return whole


@settings(max_examples=60)
@given(some=conversations(), variant=variants())
async def test_any_store_written_in_any_way_comes_over_whole(
    url: str, tmp_path: Path, some: list[Conversation], variant: Variant
) -> None:
    owner = Owner()
    path = in_file(tmp_path, dumped(some, variant))
    assert await move(path, url, user=owner.user_id, another_owner=True) == DONE
    found = await stored(url, owner.user_id)
    assert found.keys() == {thread.id for thread, _ in some}
    for conversation in some:
        thread, items = found[conversation[0].id]
        written, of = records(conversation, variant)
        assert exact(thread) == exact(expected_thread(written))
        assert exact([filled(item, one) for item, one in zip(items, of, strict=True)]) == exact(of)


@settings(max_examples=20)
@given(some=conversations(), ids=st.lists(st.sampled_from(["__fake_id__", "msg_1", "", "\0"]), min_size=4))
async def test_items_without_an_id_of_their_own_are_kept_and_found_again(
    url: str, tmp_path: Path, some: list[Conversation], ids: list[str]
) -> None:
    owner = Owner()
    for _, items in some:
        for item, item_id in zip(items, ids, strict=False):
            item.id = item_id
    assert (
        await move(in_file(tmp_path, dumped(some, Variant())), url, user=owner.user_id, another_owner=True)
        == DONE
    )
    found = await stored(url, owner.user_id)
    for thread, items in some:
        _, of = found[thread.id]
        assert len({item["id"] for item in of}) == len(items)
        whole = [{**item.model_dump(mode="json"), "id": ""} for item in items]
        assert exact([{**item, "id": ""} for item in of]) == exact(whole)
    # Another file, written another way, with the same in it.
    again = in_file(tmp_path, dumped(some, Variant("list", indent=2, ascii=False)))
    assert await move(again, url, user=owner.user_id, another_owner=True) == DONE
    assert await stored(url, owner.user_id) == found


async def test_every_sample_of_every_type_is_read_back_equal(url: str, tmp_path: Path) -> None:
    owner = Owner()
    thread = ThreadMetadata(id="thr_all", created_at=samples("thr_all")[0].created_at)
    items: list[ThreadItem] = [*samples("thr_all"), *template_items("thr_all")]
    path = in_file(tmp_path, dumped([(thread, items)], Variant()))
    assert await move(path, url, user=owner.user_id, another_owner=True) == DONE
    engine = create_engine(url)
    store: NeonChatKitStore[Owner] = NeonChatKitStore(engine)
    for item in items:
        assert (await store.load_item("thr_all", item.id, owner)).model_dump() == item.model_dump()
    await engine.dispose()


@settings(max_examples=15)
@given(some=conversations(), wrapped=st.booleans())
async def test_the_sqlite_store_of_the_samples_comes_over_whole(
    url: str, tmp_path: Path, some: list[Conversation], wrapped: bool
) -> None:
    owner = Owner()
    path = tmp_path / f"{uuid.uuid4().hex}.db"

    def data(name: str, model: ThreadMetadata | ThreadItem) -> str:
        text = model.model_dump_json()
        return f'{{"{name}": {text}}}' if wrapped else text

    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE threads (id TEXT PRIMARY KEY, user_id TEXT, data TEXT)")
        database.execute("CREATE TABLE items (id TEXT PRIMARY KEY, thread_id TEXT, data TEXT)")
        for thread, items in some:
            values = (thread.id, owner.user_id, data("thread", thread))
            database.execute("INSERT INTO threads VALUES (?, ?, ?)", values)
            for item in items:
                database.execute(
                    "INSERT INTO items VALUES (?, ?, ?)", (item.id, thread.id, data("item", item))
                )
    assert await move(path, url, kind="import-sqlite", user_from="user_id") == DONE
    found = await stored(url, owner.user_id)
    for thread, items in some:
        kept, of = found[thread.id]
        assert exact(kept) == exact(expected_thread(json.loads(thread.model_dump_json())))
        assert exact(of) == exact([json.loads(item.model_dump_json()) for item in items])


@settings(max_examples=20)
@given(some=conversations())
async def test_an_export_comes_back_to_the_letter(url: str, tmp_path: Path, some: list[Conversation]) -> None:
    owner = Owner()
    blobs = Blobs.in_memory()
    engine = create_engine(url)
    store: NeonChatKitStore[Owner] = NeonChatKitStore(engine)
    for thread, items in some:
        await store.save_thread(thread.model_copy(), owner)
        for item in items:
            await store.add_thread_item(thread.id, item, owner)
        if items:
            await store.save_feedback(thread.id, [items[-1].id], "negative", owner)
    before = await export(url, owner.user_id, blobs)
    await store.delete_everything(owner)
    assert await stored(url, owner.user_id) == {}
    assert await move(in_file(tmp_path, before), url) == DONE
    assert await export(url, owner.user_id, blobs) == before
    await engine.dispose()
