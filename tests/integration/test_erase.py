"""`chatkit-neon erase`: nothing of one owner is left, and nothing of another's is missing."""

from pathlib import Path

import asyncpg

from tests.support.exports import run
from tests.support.files import PNG
from tests.support.server import Chat, House, house, user_input

TABLES = (
    "chat_threads",
    "chat_thread_items",
    "chat_attachments",
    "chat_keyed_requests",
    "chat_claims",
    "chat_file_removals",
)


async def left(url: str) -> dict[str, list[str]]:
    """Return every row that there is, as text."""
    connection = await asyncpg.connect(url)
    rows = {table: [str(row) for row in await connection.fetch(f"TABLE {table}")] for table in TABLES}
    await connection.close()
    return rows


async def fill(chat: Chat, words: str) -> None:
    """Leave a row in every table but the claims, and bytes of three kinds: sent, unsent, awaited."""
    files = [
        (await chat.http.post("/chat/attachments", files={"file": (name, PNG, "image/png")})).json()["id"]
        for name in ("sent.png", "unsent.png")
    ]
    await chat.once(words, "threads.create", input=user_input(words, attachments=files[:1]))
    await chat.ask("attachments.create", name="awaited.txt", size=5, mime_type="text/plain")
    await chat.create(words)


async def claimed(opened: House) -> None:
    """Have Alice take over what she began as a visitor."""
    visitor = opened.client()
    await visitor.create("as a visitor")
    alice = opened.alice
    alice.http.cookies.update(dict(visitor.http.cookies))
    assert (await alice.http.post("/chat/claim")).json()["threads"] == 1


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_erase_counts_and_then_deletes_everything_of_one_owner(
    database_url: str, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path}"}
    async with house(
        database_url, chat_files_url=environment["CHAT_FILES_URL"], chat_anonymous="persist"
    ) as opened:
        await fill(opened.bob, "theirs")
        theirs = await left(database_url)
        their_files = names_in(tmp_path)
        await fill(opened.alice, "mine")
        await claimed(opened)
        before = await left(database_url)

        counted = await run("erase", "--user", "demo-alice", **environment)
        found = "3 conversations, 6 items, 3 attachments, 1 keyed request and 1 claim"
        assert counted.status == 0, counted.errors
        assert counted.output.decode() == f"There are {found}. Nothing was deleted; --apply deletes it all.\n"
        assert await left(database_url) == before

        erased = await run("erase", "--user", "demo-alice", "--apply", **environment)
        assert erased.status == 0, erased.errors
        assert erased.output.decode() == f"Deleted: {found}.\nFiles removed: 2, all that nobody needs.\n"
        assert await left(database_url) == theirs
        assert names_in(tmp_path) == their_files
        assert await opened.alice.threads() == []
        assert len(await opened.bob.threads()) == 2

        again = await run("erase", "--user", "demo-alice", "--apply", **environment)
        assert again.status == 3
        assert again.output.startswith(b"Deleted: 0 conversations, 0 items, 0 attachments,")
        counted = await run("erase", "--user", "demo-alcie", **environment)
        assert counted.status == 3
        assert "there is nothing of 'demo-alcie' in this database" in counted.errors


async def test_erase_says_what_is_wrong(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    nobody = await run("erase", DATABASE_URL=database_url)
    assert nobody.status == 2
    assert "--user" in nobody.errors
    environment = {"DATABASE_URL": empty_database_url, "CHAT_FILES_URL": f"file:{tmp_path}"}
    unready = await run("erase", "--user", "demo-alice", "--apply", **environment)
    assert unready.status == 1
    assert "chatkit-neon doctor" in unready.errors
