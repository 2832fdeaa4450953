"""Taking everything along: complete, as of one moment, safe to open, and in little memory."""

import asyncio
import base64
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from chatkit.types import ThreadItem, ThreadMetadata
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import create_engine
from app.errors import Busy, StoreUnavailable
from app.export.formats import FORMATS, FormatName
from app.export.gathering import Gatherer
from app.export.readable import entry_of
from app.files.blobs import Blobs
from app.repositories.exports import ATTACHMENTS, ITEMS, THREADS
from app.repositories.takeover import Copies
from app.stores import MemoryStore, NeonChatKitStore
from app.stores.base import ChatStore, OwnerContext
from app.stores.codec import kept
from tests.contract import strategies
from tests.support.exports import Export, read_export, run
from tests.support.files import HTML, PDF, PNG, SVG
from tests.support.owners import Owner
from tests.support.pgbouncer import Kind, pgbouncer
from tests.support.server import Chat, House, house, user_input

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</p></body><h2 onclick=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --><svg/onload=alert(1)>&lt;b&gt;",
    "```\n# Not a heading\n<script>alert(1)</script>\n````\n~~~",
    "[file-1]: javascript:alert(1)\n\n![x](javascript:alert(1)) <javascript:alert(1)>",
    "\u202eright to left\u2028line\u0085line\x0bend",
]


async def exported(chat: Chat, format_: str = "json") -> bytes:
    response = await chat.http.get("/chat/export", params={"format": format_})
    assert response.status_code == 200, response.text
    return response.content


async def export_of(chat: Chat) -> Export:
    return read_export(await exported(chat))


async def upload(chat: Chat, content: bytes, name: str = "a.txt", kind: str = "text/plain") -> str:
    sent = await chat.http.post("/chat/attachments", files={"file": (name, content, kind)})
    assert sent.status_code == 200, sent.text
    return str(sent.json()["id"])


async def tell(chat: Chat, text: str, *files: str) -> str:
    """Begin a thread with a message that carries files; return its id."""
    events = await chat.stream("threads.create", input=user_input(text, attachments=list(files)))
    return str(events[0]["thread"]["id"])


def person(opened: House, who: str) -> Chat:
    return opened.alice if who == "account" else opened.client()


@pytest.mark.parametrize("who", ["account", "visitor", "session"])
async def test_everybody_gets_all_of_theirs_and_nothing_else(database_url: str, who: str) -> None:
    anonymous = "memory" if who == "session" else "persist"
    async with house(database_url, chat_anonymous=anonymous) as opened:
        other = opened.bob
        await tell(other, "secret of another", await upload(other, b"secret bytes"))
        chat = person(opened, who)
        threads = [await tell(chat, "first", await upload(chat, PNG, "ä.png")), await tell(chat, "second")]
        unsent = await upload(chat, b"not sent")
        announced = await chat.ask("attachments.create", name="b.txt", size=5, mime_type="text/plain")
        await chat.add(threads[0], "more")
        export = await export_of(chat)
        export.check_whole()
        assert [thread["id"] for thread in export.threads] == sorted(threads)
        for thread in threads:
            shown = [item["id"] for item in await chat.items(thread)]
            assert [item["id"] for item in export.items if item["thread_id"] == thread] == shown
        files = {file["id"]: file for file in export.attachments}
        assert len(files) == 3
        assert base64.b64decode(files[unsent]["bytes"]) == b"not sent"
        assert files[announced["id"]]["bytes"] is None
        (picture,) = (file for file in files.values() if file["item_id"])
        assert base64.b64decode(picture["bytes"]) == PNG
        if who == "session":
            # Whoever knows a session's id has the session.
            assert export.user_id is None
        else:
            assert export.user_id == {"account": "demo-alice"}.get(who, export.user_id)
            assert export.user_id is not None
        for format_ in FORMATS:
            assert b"secret" not in await exported(chat, format_)
            assert b"first" not in await exported(opened.client(), format_)
        assert await exported(chat) == await exported(chat)


async def test_an_export_is_a_download_with_a_dated_name(shared_house: House) -> None:
    chat = shared_house.client()
    for format_, kind, ending in (
        ("json", "application/json", "json"),
        ("markdown", "text/markdown; charset=utf-8", "md"),
        ("html", "text/html; charset=utf-8", "html"),
    ):
        answer = await chat.http.get("/chat/export", params={"format": format_})
        assert answer.headers["content-type"] == kind
        disposition = answer.headers["content-disposition"]
        assert re.match(rf'attachment; filename="chat-\d{{4}}-\d\d-\d\d\.{ending}"', disposition)
        assert answer.headers["cache-control"] == "no-store"
    assert (await export_of(chat)).threads == []
    assert (await chat.http.get("/chat/export", params={"format": "xml"})).status_code == 400
    bad = await chat.http.get("/chat/export", headers={"Authorization": "Bearer made-up"})
    assert bad.status_code == 401


def test_hidden_items_are_for_the_json_only() -> None:
    base = {"id": "i", "thread_id": "t", "created_at": "2026-11-21T08:00:00.000000Z", "feedback": None}
    for kind in ("hidden_context_item", "sdk_hidden_context", "end_of_turn", "of_a_newer_sdk"):
        assert entry_of({**base, "type": kind, "payload": {"content": "hidden"}}) is None


STORES: list[ChatStore[OwnerContext]] = [MemoryStore()]


@settings(max_examples=25)
@given(data=st.data())
async def test_any_items_are_exported_as_the_store_gives_them(
    shared_engine: AsyncEngine, data: st.DataObject
) -> None:
    """In every format: the readable ones of whatever it is, too, are made without failing."""
    owner = Owner()
    thread: ThreadMetadata = data.draw(strategies.thread_metadata())
    items: list[ThreadItem] = data.draw(
        st.lists(strategies.items(thread.id), max_size=5, unique_by=lambda item: item.id)
    )
    for store in (*STORES, NeonChatKitStore[OwnerContext](shared_engine)):
        await store.save_thread(thread.model_copy(deep=True), owner)
        for item in items:
            await store.add_thread_item(thread.id, item.model_copy(deep=True), owner)
        gathered = await Gatherer(store, Blobs.in_memory()).gather(owner, owner=owner.user_id)
        written = {
            name: b"".join([piece async for piece in FORMATS[name].write(gathered)]) for name in FORMATS
        }
        gathered.close()
        export = read_export(written["json"])
        assert_safe_page(written["html"])
        (record,) = export.threads
        loaded = await store.load_thread(thread.id, owner)
        stored = json.loads(loaded.model_dump_json())
        assert {**record["payload"], "metadata": record["metadata"]} == stored
        page = await store.load_thread_items(thread.id, None, 100, "asc", owner)
        assert export.item_ids == [item.id for item in page.data]
        lines = written["json"].decode().split("\n")
        for item, found in zip(page.data, export.items, strict=True):
            text = kept(item)
            assert text is not None
            # To the letter, not only to the value.
            (line,) = (line for line in lines if f'"id": "{item.id}"' in line and "thread_id" in line[:14])
            assert line.removesuffix(",").endswith(f'"payload": {text.text}}}')
            assert (found["type"], found["thread_id"]) == (item.type, thread.id)


class Page(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "nav", "ol", "li", "a", "bdi",
        "p", "time", "blockquote", "img"}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "href", "id", "class", "dir", "alt",
              "title", "src", "download"}  # fmt: skip


def assert_safe_page(content: bytes) -> Page:
    """Assert that a page has nothing that runs or is loaded, whatever was said in it."""
    page = Page()
    page.feed(content.decode())
    page.close()
    for tag, attributes in page.tags:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        if "href" in attributes:
            assert re.match(r"#c\d+$|data:application/octet-stream;base64,", attributes["href"] or "")
        if "src" in attributes:
            assert re.match(
                r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$", attributes["src"] or ""
            )
    return page


async def hostile(opened: House) -> Chat:
    """Return somebody with conversations whose every word is meant to do harm."""
    chat = opened.client()
    for text in HOSTILE:
        # A name by which nothing is found out: a browser names files as it likes.
        name = re.sub(r"[\r\n/]", " ", text) + ".png"
        announced = await chat.ask("attachments.create", name=name, size=len(PNG), mime_type="image/png")
        descriptor = announced["upload_descriptor"]
        async with httpx.AsyncClient() as anybody:
            sent = await anybody.put(descriptor["url"], headers=descriptor["headers"], content=PNG)
        assert sent.status_code == 200, sent.text
        message = user_input(text, quoted_text=f"quoted {text}", attachments=[announced["id"]])
        created = await chat.stream("threads.create", input=message)
        renamed = await chat.http.patch(
            f"/chat/threads/{created[0]['thread']['id']}", json={"title": text[:250]}
        )
        assert renamed.status_code == 200, renamed.text
    return chat


async def test_nothing_that_was_said_becomes_a_part_of_the_page(shared_house: House) -> None:
    chat = await hostile(shared_house)
    page = assert_safe_page(await exported(chat, "html"))
    texts = "".join(page.texts)
    for text in HOSTILE:
        seen = re.sub("[\x0b\x85]", "\ufffd", text)
        # Said by the user, and again by the echo.
        assert texts.count(seen) >= 2
        assert " ".join(seen.split()) in " ".join(texts.split())
    assert sum(tag == "img" for tag, _ in page.tags) == len(HOSTILE)
    assert sum(tag == "h2" for tag, _ in page.tags) == len(HOSTILE)


async def test_nothing_that_was_said_leaves_its_fence(shared_house: House) -> None:
    chat = await hostile(shared_house)
    text = (await exported(chat, "markdown")).decode()
    tokens = MarkdownIt("commonmark").parse(text)
    fences = [token.content.removesuffix("\n") for token in tokens if token.type == "fence"]
    for said in HOSTILE:
        seen = re.sub("[\x0b\x85]", "\ufffd", said)
        assert fences.count(seen) >= 1
        assert f"quoted {seen}" in fences
    assert not [token for token in tokens if token.type in ("html_block", "code_block", "list_item_open")]
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} <= {"text", "text_special", "image", "em_open", "em_close"}
    pictures = [child for child in inline if child.type == "image"]
    assert len(pictures) == len(HOSTILE)
    for picture in pictures:
        assert str(picture.attrs["src"]).startswith("data:image/png;base64,")
    headings = [
        index for index, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"
    ]
    titles = ["".join(child.content for child in tokens[index + 1].children or []) for index in headings]
    assert sorted(titles) == sorted(
        " ".join(re.sub("[\x0b\x85]", "\ufffd", said).split()) for said in HOSTILE
    )


async def test_only_pictures_are_shown_as_such(shared_house: House) -> None:
    chat = shared_house.client()
    await tell(chat, "files", await upload(chat, PDF, "a.pdf"), await upload(chat, PNG, "b.png"))
    for content in (HTML, SVG):
        assert (await chat.http.post("/chat/attachments", files={"file": content})).status_code == 415
    page = assert_safe_page(await exported(chat, "html"))
    [picture] = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert picture == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    [link] = [attributes for tag, attributes in page.tags if "download" in attributes]
    assert link == {
        "download": "a.pdf",
        "href": f"data:application/octet-stream;base64,{base64.b64encode(PDF).decode()}",
    }


class Meddling(Gatherer[Owner]):
    """Has something happen between what it reads: after the rows of threads, after all rows."""

    def __init__(self, store: ChatStore[Owner], blobs: Blobs, *meddle: Any) -> None:
        super().__init__(store, blobs)
        self._meddle = list(meddle)
        real = store.everything

        async def everything(context: Owner) -> AsyncGenerator[Copies, None]:
            async with aclosing(real(context)) as pieces:
                async for copies in pieces:
                    yield copies
                    if copies.threads and self._meddle:
                        await self._meddle.pop(0)()

        store.everything = everything  # type: ignore[method-assign]


async def gathered_export(gatherer: Gatherer[Owner], owner: Owner) -> Export:
    gathered = await gatherer.gather(owner, owner=owner.user_id)
    try:
        assert gathered.lost == 0
        return read_export(b"".join([piece async for piece in FORMATS["json"].write(gathered)]))
    finally:
        gathered.close()


async def test_what_changes_while_it_is_read_does_not_tear_it(database_url: str, tmp_path: Path) -> None:
    async with house(database_url, chat_files_url=f"file:{tmp_path}") as opened:
        alice = opened.alice
        first = await tell(alice, "first", await upload(alice, b"one"))
        second = await tell(alice, "second")
        before = await export_of(alice)
        services = opened.app.state.services
        owner = Owner("demo-alice")

        async def meddle() -> None:
            await alice.add(second, "added")
            assert (await alice.http.delete(f"/chat/threads/{first}")).status_code == 204
            await tell(alice, "third")

        store: NeonChatKitStore[Owner] = NeonChatKitStore(services.engine)
        meddled = await gathered_export(Meddling(store, services.blobs, meddle), owner)
        # The moment was before all that, and the bytes were still there.
        assert meddled == before
        after = await export_of(alice)
        assert first not in {thread["id"] for thread in after.threads}
        assert len(after.items) == 6
        after.check_whole()


@pytest.mark.parametrize("where", ["database", "memory"])
async def test_a_thread_whose_bytes_go_meanwhile_is_left_out_whole(
    database_url: str, tmp_path: Path, where: str
) -> None:
    async with house(database_url, chat_files_url=f"file:{tmp_path}") as opened:
        chat = opened.alice if where == "database" else opened.client()
        first = await tell(chat, "first", await upload(chat, b"one"))
        second = await tell(chat, "second", await upload(chat, b"two"))
        services = opened.app.state.services
        server = services.accounts if where == "database" else services.visitors
        blobs = services.blobs if where == "database" else services.visitors_blobs
        owner = Owner("demo-alice" if where == "database" else chat.http.cookies["chat_session"])
        fresh: Any = NeonChatKitStore(services.engine) if where == "database" else server.store

        async def delete() -> None:
            assert (await chat.http.delete(f"/chat/threads/{first}")).status_code == 204
            await opened.swept()

        export = await gathered_export(Meddling(fresh, blobs, delete), owner)
        assert [thread["id"] for thread in export.threads] == [second]
        export.check_whole()
        assert len(export.attachments) == 1

        async def delete_another() -> None:
            nonlocal second
            gone, second = second, await tell(chat, "next", await upload(chat, b"next"))
            await chat.http.delete(f"/chat/threads/{gone}")
            await opened.swept()

        with pytest.raises(Busy):
            await gathered_export(Meddling(fresh, blobs, *[delete_another] * 3), owner)


async def test_exports_are_whole_while_conversations_come_and_go(database_url: str) -> None:
    # Nobody is as busy as this: on a quick machine it is more than an owner may ask in a minute.
    async with house(database_url, chat_rate_limit="100000/minute") as opened:
        alice = opened.alice
        await tell(alice, "stays")
        exported = asyncio.Condition()
        exports = 0
        over = asyncio.Event()

        async def busy(number: int) -> None:
            """Begin a conversation and delete it: at once, or after the end of the next exports."""
            mine = opened.alice
            while not over.is_set():
                thread = await tell(mine, "comes", await upload(mine, f"{number}".encode() * 100))
                await mine.add(thread, "more")
                until = exports + number
                async with exported:
                    while exports < until and not over.is_set():
                        await exported.wait()
                await mine.http.delete(f"/chat/threads/{thread}")
                await opened.swept()

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(busy(number))
            seen: set[int] = set()
            whole = 0
            # Files that go faster than they are read are a 409.
            while whole < 20 or len(seen) < 3:
                answer = await alice.http.get("/chat/export")
                assert answer.status_code in (200, 409)
                if answer.status_code == 200:
                    export = read_export(answer.content)
                    export.check_whole()
                    assert "stays" in {thread["title"] for thread in export.threads}
                    seen.add(len(export.threads))
                    whole += 1
                async with exported:
                    exports += 1
                    exported.notify_all()
            async with exported:
                over.set()
                exported.notify_all()


async def test_bytes_that_the_store_has_lost_are_null_and_said(database_url: str, tmp_path: Path) -> None:
    async with house(database_url, chat_files_url=f"file:{tmp_path}") as opened:
        lost = await upload(opened.alice, b"one")
        kept_ = await upload(opened.alice, b"two")
        connection = await asyncpg.connect(database_url)
        key = await connection.fetchval("SELECT file_key FROM chat_attachments WHERE id = $1", lost)
        await connection.close()
        (tmp_path / key).unlink()
        files = {file["id"]: file["bytes"] for file in (await export_of(opened.alice)).attachments}
        assert files == {lost: None, kept_: base64.b64encode(b"two").decode()}
    ran = await run(
        "export", "--user", "demo-alice", DATABASE_URL=database_url, CHAT_FILES_URL=f"file:{tmp_path}"
    )
    assert ran.status == 1
    assert "the bytes of 1 attachment are not" in ran.errors
    assert len(read_export(ran.output).attachments) == 2


async def test_a_slow_reader_holds_no_connection_and_gets_one_export_at_a_time(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        await upload(alice, "".join(f"{number:09}\n" for number in range(1_900_000)).encode())
        async with alice.http.stream("GET", "/chat/export") as slow:
            assert slow.status_code == 200
            chunks = slow.aiter_raw()
            await anext(chunks)
            assert opened.app.state.services.engine.pool.checkedout() == 0
            second = await opened.alice.http.get("/chat/export")
            assert second.status_code == 409
            assert int(second.headers["retry-after"]) > 0
            # Nobody else waits for that.
            assert (await opened.bob.http.get("/chat/export")).status_code == 200
        # The reader went away in the middle.
        async with asyncio.timeout(10):
            while (await opened.alice.http.get("/chat/export")).status_code != 200:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("format_", FORMATS)
async def test_the_command_writes_what_the_server_sends(
    database_url: str, tmp_path: Path, format_: FormatName
) -> None:
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path / 'files'}"}
    async with house(database_url, chat_files_url=environment["CHAT_FILES_URL"]) as opened:
        await tell(opened.alice, "Hello", await upload(opened.alice, PNG, "a.png"))
        await tell(opened.bob, "secret")
        sent = await exported(opened.alice, format_)
    command = ("export", "--user", "demo-alice", "--format", format_)
    if format_ == "html":
        printed = await run(*command, **environment)
        assert (printed.status, printed.output, printed.errors) == (0, sent, "")
        return
    target = tmp_path / "export"
    target.write_text("older")
    written = await run(*command, "--output", str(target), **environment)
    assert (written.status, written.output, target.read_bytes()) == (0, b"", sent)
    assert target.stat().st_mode & 0o077 == 0
    assert names_in(tmp_path) == ["export", "files"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_command_refuses_in_words(database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path}"}
    assert "1 to 255 bytes" in (await run("export", "--user", "", **environment)).errors
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO chat_threads (user_id, id, status, payload, metadata)"
        " VALUES ('u', 't', 'active', '{}', '{}')"
    )
    await connection.close()
    place = str(tmp_path / "missing" / "file")
    refused = await run("export", "--user", "u", "--output", place, **environment)
    assert refused.status == 1
    assert "No such file or directory" in refused.errors
    environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    away = await run("export", "--user", "nobody", CHAT_DATABASE_RETRY_SECONDS="0.2", **environment)
    assert away.status == 1
    assert "cannot be reached" in away.errors


@pytest.mark.parametrize("format_", FORMATS)
async def test_an_export_of_nobody_is_no_empty_file(database_url: str, tmp_path: Path, format_: str) -> None:
    """`export && erase` with a mistyped owner ends before the second, and keeps what was saved before."""
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path}"}
    saved = tmp_path / "saved"
    saved.write_text("what was saved before")
    command = ("export", "--user", "typo", "--format", format_)
    for more in ([], ["--output", str(saved)]):
        nothing = await run(*command, *more, **environment)
        assert (nothing.status, nothing.output) == (3, b"")
        assert "there is nothing of 'typo' in this database" in nothing.errors
    assert saved.read_text() == "what was saved before"


FILL = """
    INSERT INTO chat_threads (user_id, id, status, payload, metadata)
    SELECT 'many', 'thr_' || n, 'active', '{}', '{}' FROM generate_series(1, 100) n;
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
    SELECT 'many', 'thr_' || t, 'msg_' || n, n, 'assistant_message',
        json_build_object('content', json_build_array(json_build_object('text', repeat(md5(n::text), 60))))
    FROM generate_series(1, 100) t, generate_series(1, 100) n;
"""
FILL_FILES = """
    INSERT INTO chat_attachments (user_id, id, payload)
    SELECT 'many', 'atc_' || n, '{}' FROM generate_series(1, 10000) n
"""
GROWTH = """
import resource, sys
from app.cli import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
main(["export", "--user", "nobody", "--output", "/dev/null"])
before = peak()
assert main(["export", "--user", "many", *sys.argv[1:]]) == 0
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize("format_", FORMATS)
async def test_an_export_of_much_takes_little_memory(database_url: str, tmp_path: Path, format_: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(FILL)
    content = b"0123456789abcdef" * 65536 * 2
    for number in range(25):
        key = str(uuid.uuid4())
        (tmp_path / key).write_bytes(content)
        await connection.execute(
            "INSERT INTO chat_attachments (user_id, id, file_key, size, payload) VALUES ($1, $2, $3, $4, $5)",
            "many", f"atc_{number}", key, len(content), '{"name": "a.png", "mime_type": "image/png"}',
        )  # fmt: skip
    await connection.close()
    target = tmp_path / "export"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GROWTH, "--format", format_, "--output", str(target)),
        env={**os.environ, "DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path}"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    size = target.stat().st_size // 2**20
    assert size > 80
    assert int(output) < 40, f"{output.decode()} MB more for a file of {size} MB"


@pytest.mark.parametrize("statement", [THREADS, ITEMS, ATTACHMENTS], ids=lambda one: one.name)
async def test_a_page_is_read_from_an_index(database_url: str, statement: Any) -> None:
    """However many rows there are: no sort, and no row that is not on the page."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(FILL)
    await connection.execute(FILL_FILES)
    values = {"owner": "many", "after_id": "thr_5", "after_position": 50, "limit_": 10}
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute("ANALYZE")
    plan = await connection.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
    text = "\n".join(row[0] for row in plan)
    await connection.close()
    assert "Index Scan" in text
    assert "Sort" not in text


async def test_a_connection_that_dies_in_the_middle_is_another_beginning(database_url: str) -> None:
    async with house(database_url) as opened:
        thread = await tell(opened.alice, "Hello")
        services = opened.app.state.services
        store: NeonChatKitStore[Owner] = NeonChatKitStore(services.engine, retry_seconds=5)

        async def kill() -> None:
            connection = await asyncpg.connect(database_url)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await connection.close()

        owner = Owner("demo-alice")
        export = await gathered_export(Meddling(store, services.blobs, kill, kill), owner)
        assert [found["id"] for found in export.threads] == [thread]
        with pytest.raises(StoreUnavailable):
            await gathered_export(Meddling(store, services.blobs, kill, kill, kill), owner)
        assert services.engine.pool.checkedout() == 0
        assert (await export_of(opened.alice)) == export


async def test_an_export_that_is_given_up_gives_its_connection_back(database_url: str) -> None:
    async with house(database_url) as opened:
        await tell(opened.alice, "Hello")
        services = opened.app.state.services
        store: NeonChatKitStore[Owner] = NeonChatKitStore(services.engine)

        async def wait() -> None:
            assert services.engine.pool.checkedout() == 1
            raise asyncio.CancelledError

        gatherer = Meddling(store, services.blobs, wait)
        with pytest.raises(asyncio.CancelledError):
            await gatherer.gather(Owner("demo-alice"), owner="demo-alice")
        assert services.engine.pool.checkedout() == 0


LAYOUT = '{\n\t"id" : "msg_1",\r\n "text": "a\\nb \\u0000 \\\\n", "n": [1e23, -0.0,\r1.0]}'


async def test_stored_json_is_kept_to_the_letter_but_for_its_line_breaks(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    deep = '{"content": ' + "[" * 3000 + "]" * 3000 + "}"
    await connection.execute(
        "INSERT INTO chat_threads (user_id, id, status, payload, metadata)"
        " VALUES ('me', 'thr_1', 'active', $1, $1)",
        LAYOUT,
    )
    for number, payload in enumerate((LAYOUT, deep, "[]"), 1):
        await connection.execute(
            "INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)"
            " VALUES ('me', 'thr_1', $1, $2, 'assistant_message', $3)",
            f"msg_{number}",
            number,
            payload,
        )
    await connection.close()
    engine = create_engine(database_url)
    store: NeonChatKitStore[Owner] = NeonChatKitStore(engine)
    gathered = await Gatherer(store, Blobs.in_memory()).gather(Owner("me"), owner="me")
    written = {
        name: b"".join([piece async for piece in FORMATS[name].write(gathered)]).decode() for name in FORMATS
    }
    gathered.close()
    await engine.dispose()
    lines = written["json"].split("\n")
    squeezed = LAYOUT.replace("\n", " ").replace("\r", " ")
    assert json.loads(squeezed) == json.loads(LAYOUT)
    assert f'"payload": {squeezed}, "metadata": {squeezed}}}' in lines[2]
    assert sum(squeezed in line for line in lines) == 2
    assert sum(deep in line for line in lines) == 1
    for name in ("html", "markdown"):
        assert re.sub(r"\\(.)", r"\1", written[name]).count("This cannot be shown here.") == 1


@pytest.mark.parametrize("kind", ["old", "new"])
async def test_an_export_goes_through_a_pooler(database_url: str, tmp_path: Path, kind: Kind) -> None:
    async with pgbouncer(kind, tmp_path / "pooler", database_url) as pooler, house(pooler.url) as opened:
        for number in range(3):
            await tell(opened.alice, f"{number}")
        exports = await asyncio.gather(*(export_of(who) for who in (opened.alice, opened.bob)))
        assert [len(export.items) for export in exports] == [6, 0]
