"""Everything of one owner, taken along: exported, erased, brought back, exported again."""

from pathlib import Path

import pytest

from app.chat.context import ChatContext
from migrations_data.run import DONE
from tests.contract.samples import samples
from tests.integration.test_export import exported, tell, upload
from tests.support.moves import move
from tests.support.server import House, house, user_input


async def filled(opened: House) -> None:
    """Let Alice have threads with files, feedback, a rename, and every type of item."""
    alice = opened.alice
    picture = await upload(alice, b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "p.png", "image/png")
    thread_id = await tell(alice, "See", picture)
    (question, answer, *_) = await alice.items(thread_id)
    await alice.ask("items.feedback", thread_id=thread_id, item_ids=[answer["id"]], kind="negative")
    await alice.ask("threads.update", thread_id=thread_id, title="Pictures \u2028 and\twhite space")
    other = await alice.create("1e2 \u0000 -0.0")
    await alice.once("key", "threads.retry_after_item", thread_id=thread_id, item_id=question["id"])
    store = opened.app.state.services.accounts_store
    for item in samples(other):
        await store.add_thread_item(other, item, ChatContext("demo-alice"))
    await upload(alice, b"never sent")


async def test_nothing_is_lost_on_the_way_out_and_back(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = f"file:{tmp_path / 'files'}"
    monkeypatch.setenv("CHAT_FILES_URL", files)
    # What goes is counted; the sweep that a deletion brings about does not come first.
    monkeypatch.setattr("app.files.sweep._GATHER_SECONDS", 3600.0)
    async with house(database_url, chat_files_url=files) as opened:
        await filled(opened)
        before = await exported(opened.alice)
        assert (await opened.alice.http.delete("/chat/me")).status_code == 200
        assert await opened.swept() == 2
        assert await exported(opened.alice) != before
    path = tmp_path / "alice.json"
    path.write_bytes(before)
    assert await move(path, database_url, user="demo-alice", apply=True) == DONE
    async with house(database_url, chat_files_url=files) as opened:
        assert await exported(opened.alice) == before
        # Another's import of the same file is another's copy.
        assert await move(path, database_url, user="demo-bob", another_owner=True) == DONE
        theirs = await exported(opened.bob)
        assert theirs.replace(b"demo-bob", b"demo-alice") == before
        assert await exported(opened.alice) == before


async def test_a_repeat_after_it_all_came_back_doubles_no_message_and_shows_the_answer(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyed requests stay behind; ids made of owner and key, and what each item is part of, do not."""
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    async with house(database_url) as opened:
        alice = opened.alice
        first = await alice.once("first", "threads.create", input=user_input("Hello"))
        thread_id = first.thread_id
        await alice.once("second", "threads.add_user_message", thread_id=thread_id, input=user_input("More"))
        before, said = await exported(alice), await alice.items(thread_id)
        assert (await alice.http.delete("/chat/me")).status_code == 200
    path = tmp_path / "alice.json"
    path.write_bytes(before)
    assert await move(path, database_url, user="demo-alice") == DONE
    async with house(database_url) as opened:
        alice = opened.alice
        again = await alice.once("first", "threads.create", input=user_input("Hello"))
        assert [item["id"] for item in again.items] == [said[0]["id"], said[1]["id"]]
        more = await alice.once(
            "second", "threads.add_user_message", thread_id=thread_id, input=user_input("More")
        )
        assert [item["id"] for item in more.items] == [said[2]["id"], said[3]["id"]]
        assert await alice.items(thread_id) == said
        assert await exported(alice) == before
