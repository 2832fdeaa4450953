"""Attachments over HTTP: both ways of sending them, who gets them, and that nothing stays behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio

from app.chat.context import ChatContext
from app.errors import StoreUnavailable
from app.repositories.putting import PUT_WITH_FILES
from tests.support.files import GIF_AND_HTML, HTML, PDF, PNG, SVG, png
from tests.support.postgres import Databases
from tests.support.server import Chat, House, house, user_input

Looking: TypeAlias = "asyncpg.Connection[Any]"
"""A connection that looks at what the server did. The driver's class takes no parameter at run time."""

TEXT = b"some text, caf\xc3\xa9"
MEGABYTES = b"0123456789abcde\n" * 65536 * 3


@asynccontextmanager
async def files_house(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[House]:
    async with house(database_url, chat_files_url=f"file:{folder}", **settings) as opened:
        yield opened


@pytest_asyncio.fixture
async def opened(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Yield a server whose files are in tmp_path."""
    async with files_house(database_url, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Looking]:
    """Yield a connection that looks at what the server did."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module")
async def shared(databases: Databases) -> AsyncIterator[House]:
    """Yield a server for tests that clash with nobody."""
    async with databases.fresh() as url, house(url) as opened:
        yield opened


@pytest.fixture(params=["alice", "visitor"])
def who(request: pytest.FixtureRequest) -> str:
    """Name somebody with an account, and somebody without."""
    return str(request.param)


def person(opened: House, who: str) -> Chat:
    return opened.alice if who == "alice" else opened.client()


def on_disk(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_memory(opened: House) -> list[str]:
    store = opened.app.state.services.visitors.files.blobs._store
    return [entry["path"] for entry in store.list().collect()]


async def send(chat: Chat, content: bytes, name: str = "a.txt", kind: str = "text/plain") -> httpx.Response:
    """Send a file directly."""
    return await chat.http.post("/chat/attachments", files={"file": (name, content, kind)})


async def sent(
    chat: Chat, content: bytes = TEXT, name: str = "a.txt", kind: str = "text/plain"
) -> dict[str, Any]:
    """Send a file directly; it has to be taken."""
    response = await send(chat, content, name, kind)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def announce(chat: Chat, name: str = "a.txt", size: int = 5, kind: str = "text/plain") -> Any:
    return await chat.ask("attachments.create", name=name, size=size, mime_type=kind)


async def put(chat: Chat, announced: dict[str, Any], content: bytes) -> httpx.Response:
    """Send the bytes of an announced file the way a frontend does: by the descriptor alone."""
    descriptor = announced["upload_descriptor"]
    async with httpx.AsyncClient(timeout=20) as anybody:
        return await anybody.request(
            descriptor["method"], descriptor["url"], headers=descriptor["headers"], content=content
        )


async def details(chat: Chat, attachment_id: str) -> dict[str, Any]:
    response = await chat.http.get(f"/chat/attachments/{attachment_id}")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def content_of(chat: Chat, attachment_id: str) -> bytes:
    url = (await details(chat, attachment_id))["url"]
    async with httpx.AsyncClient() as anybody:
        return (await anybody.get(url)).raise_for_status().content


async def converse(chat: Chat, *attachment_ids: str) -> tuple[str, str]:
    """Begin a thread with a message that carries files; return both ids."""
    message = user_input("See", attachments=list(attachment_ids))
    events = await chat.stream("threads.create", input=message)
    assert [file["id"] for file in events[1]["item"]["attachments"]] == list(attachment_ids)
    return events[0]["thread"]["id"], events[1]["item"]["id"]


def refused(response: httpx.Response, status: int, word: str = "") -> None:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert word in error["message"]
    assert error["message"].endswith(".")
    for inside in ("chat_attachments", "obstore", "Traceback", "/tmp"):  # noqa: S108 - not a use of it
        assert inside not in response.text


async def rows(database: Looking, table: str = "chat_attachments") -> int:
    return int(await database.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names in tests


async def all_due(database: Looking) -> None:
    """Let the hour pass for which announced bytes are left alone."""
    await database.execute("UPDATE chat_file_removals SET due_at = now() - interval '1 second'")


# Sending


async def test_a_file_is_sent_directly_carried_by_a_message_and_read_again(shared: House, who: str) -> None:
    chat = person(shared, who)
    attachment = await sent(chat, MEGABYTES, "notes.txt")
    assert {key: attachment[key] for key in ("name", "mime_type", "type")} == {
        "name": "notes.txt",
        "mime_type": "text/plain",
        "type": "file",
    }
    assert "upload_descriptor" not in attachment
    assert "metadata" not in attachment
    thread_id, item_id = await converse(chat, attachment["id"])
    stored = (await chat.items(thread_id))[0]
    assert stored["id"] == item_id
    assert stored["attachments"] == [attachment | {"thread_id": thread_id}]
    assert await content_of(chat, attachment["id"]) == MEGABYTES


async def test_a_file_is_announced_then_sent(shared: House, who: str) -> None:
    chat = person(shared, who)
    announced = await announce(chat, "notes.md", len(MEGABYTES), "text/markdown")
    assert announced["upload_descriptor"]["method"] == "PUT"
    assert (await details(chat, announced["id"]))["url"] is None
    response = await put(chat, announced, MEGABYTES)
    assert response.status_code == 200
    assert response.json() == {key: announced[key] for key in ("id", "name", "mime_type", "type")}
    found = await details(chat, announced["id"])
    assert (found["size"], found["mime_type"]) == (len(MEGABYTES), "text/markdown")
    assert await content_of(chat, announced["id"]) == MEGABYTES


async def test_a_picture_has_a_preview_that_any_page_can_show(shared: House, who: str) -> None:
    chat = person(shared, who)
    announced = await announce(chat, "Zoë.png", len(PNG), "image/png")
    assert announced["type"] == "image"
    await put(chat, announced, PNG)
    async with httpx.AsyncClient() as anybody:
        shown = await anybody.get(announced["preview_url"])
    assert shown.content == PNG
    headers = shown.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-length"] == str(len(PNG))
    assert headers["content-disposition"] == "inline; filename=\"Zo_.png\"; filename*=UTF-8''Zo%C3%AB.png"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["cache-control"] in [f"private, max-age={seconds}" for seconds in range(880, 901)]
    assert "set-cookie" not in headers


async def test_anything_but_a_picture_is_saved_not_opened(shared: House) -> None:
    alice = shared.alice
    attachment = await sent(alice, PDF, 'my "lease".pdf', "application/pdf")
    answer = await alice.http.get((await details(alice, attachment["id"]))["url"])
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-type"] == "application/pdf"
    text = await sent(alice, TEXT)
    answer = await alice.http.get((await details(alice, text["id"]))["url"])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == TEXT.decode()


# What is taken


@pytest.mark.parametrize("way", ["direct", "announced"])
@pytest.mark.parametrize(
    ("content", "said", "kind"),
    [
        (PNG, ("lease.pdf", "application/pdf"), "image/png"),
        (PDF, ("cat.png", "image/png"), "application/pdf"),
        (GIF_AND_HTML, ("page.txt", "text/plain"), "image/gif"),
        (TEXT, ("cat.png", "image/png"), "text/plain"),
    ],
)
async def test_a_file_is_what_its_content_says(
    shared: House, way: str, content: bytes, said: tuple[str, str], kind: str
) -> None:
    alice, (name, declared) = shared.alice, said
    type_ = "image" if kind.startswith("image/") else "file"
    if way == "direct":
        attachment = await sent(alice, content, name, declared)
    else:
        announced = await announce(alice, name, len(content), declared)
        attachment = (await put(alice, announced, content)).json()
    assert (attachment["mime_type"], attachment["type"], attachment["name"]) == (kind, type_, name)
    assert (await details(alice, attachment["id"]))["mime_type"] == kind
    answer = await alice.http.get((await details(alice, attachment["id"]))["url"])
    assert answer.headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize("content", [HTML, SVG, b"MZ\x90\x00" + bytes(100), b"\xff\xfe\x00"])
async def test_other_files_are_refused_whatever_they_are_called(
    opened: House, database: Looking, tmp_path: Path, content: bytes
) -> None:
    alice = opened.alice
    refused(await send(alice, content, "cat.png", "image/png"), 415, "takes PNG, JPEG")
    refused(await send(alice, content, "notes.txt", "text/plain"), 415)
    assert (await rows(database), on_disk(tmp_path)) == (0, [])
    announced = await announce(alice)
    refused(await put(alice, announced, content), 415)
    assert (await details(alice, announced["id"]))["url"] is None
    assert on_disk(tmp_path) == []
    assert (await put(alice, announced, TEXT)).status_code == 200


async def test_too_much_is_refused_as_soon_as_it_is_known(
    database_url: str, tmp_path: Path, database: Looking
) -> None:
    async with files_house(database_url, tmp_path, chat_max_attachment_bytes=2048) as opened:
        alice = opened.alice
        exact, larger = b"x" * 2048, b"x" * 2049

        async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
            for start in range(0, len(content), 1000):
                yield content[start : start + 1000]

        refused(await send(alice, larger), 413, "2 KB")
        refused(await send(alice, b"x" * 10_000_000), 413, "2 KB")
        refused(
            await alice.post("attachments.create", name="a", size=2049, mime_type="text/plain"), 413, "2 KB"
        )
        assert await rows(database) == 0
        announced = await announce(alice, size=2048)
        url = announced["upload_descriptor"]["url"]
        refused(await put(alice, announced, larger), 413, "2 KB")
        refused(await alice.http.put(url, content=in_chunks(larger)), 413, "2 KB")
        assert on_disk(tmp_path) == []
        assert (await alice.http.put(url, content=in_chunks(exact))).status_code == 200
        assert (await send(alice, exact)).status_code == 200
        assert len(on_disk(tmp_path)) == 2


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"size": 0}, 400),
        ({"size": -1}, 400),
        ({"size": 10**30}, 413),
        ({"mime_type": "video/mp4"}, 415),
        ({"mime_type": "text/html"}, 415),
    ],
)
async def test_an_announced_file_is_checked_before_it_is_sent(
    shared: House, params: dict[str, Any], status: int
) -> None:
    said = {"name": "a", "size": 5, "mime_type": "text/plain", **params}
    refused(await shared.alice.post("attachments.create", **said), status)


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"{}", "application/json", "multipart"),
        (b"", "multipart/form-data", "form"),
        (b"x", "multipart/form-data; boundary=b", "form"),
        (
            b"--b\r\nContent-Disposition: nonsense\r\n\r\n\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            "form",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "field",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "empty",
        ),
    ],
)
async def test_a_form_that_is_none_is_refused(shared: House, body: bytes, kind: str, word: str) -> None:
    answer = await shared.alice.http.post("/chat/attachments", content=body, headers={"Content-Type": kind})
    refused(answer, 400, word)


async def test_names_that_attack_are_made_harmless(shared: House) -> None:
    alice = shared.alice
    for name in ("../../etc/passwd", "a\\b\\passwd", "passwd"):
        assert (await announce(alice, name))["name"] == "passwd"
        assert (await sent(alice, name=name))["name"] == "passwd"


# Sending twice, at once, and not at all


async def test_the_first_bytes_stay(shared: House, who: str) -> None:
    chat = person(shared, who)
    announced = await announce(chat)
    for content in (b"first", b"other", PNG):
        response = await put(chat, announced, content)
        assert (response.status_code, response.json()["mime_type"]) == (200, "text/plain")
    assert await content_of(chat, announced["id"]) == b"first"


async def test_of_two_that_send_at_once_one_s_bytes_stay_whole_and_the_other_s_go(
    opened: House, tmp_path: Path, database: Looking
) -> None:
    alice = opened.alice
    announced = await announce(alice, "a.png", len(PNG), "image/png")
    contents = [png(seed) + bytes(seed) for seed in range(6)]
    responses = await asyncio.gather(*(put(alice, announced, content) for content in contents))
    assert {response.status_code for response in responses} == {200}
    found = await details(alice, announced["id"])
    kept = await content_of(alice, announced["id"])
    assert kept in contents
    assert found["size"] == len(kept)
    await all_due(database)
    await opened.swept()
    assert len(on_disk(tmp_path)) == 1
    assert await content_of(alice, announced["id"]) == kept


async def test_a_file_that_has_not_arrived_cannot_be_sent(opened: House, database: Looking) -> None:
    for chat in (opened.alice, opened.client()):
        announced = await announce(chat)
        message = user_input(attachments=[announced["id"]])
        refused(await chat.post("threads.create", input=message), 409, "has not arrived yet")
        assert await chat.threads() == []
        thread_id = await chat.create("Hello")
        more = await chat.post("threads.add_user_message", thread_id=thread_id, input=message)
        refused(more, 409, "a.txt")
        assert len(await chat.items(thread_id)) == 2
        await put(chat, announced, TEXT)
        await converse(chat, announced["id"])
    assert await rows(database) == 1


def store_of(opened: House, who: str) -> Any:
    services = opened.app.state.services
    return (services.accounts if who == "alice" else services.visitors).files.store


async def test_a_file_is_part_of_one_message(opened: House, who: str) -> None:
    chat = person(opened, who)
    attachment = await sent(chat)
    thread_id, item_id = await converse(chat, attachment["id"])
    again = user_input(attachments=[attachment["id"]])
    refused(await chat.post("threads.create", input=again), 409, "part of another message already")
    more = await chat.post("threads.add_user_message", thread_id=thread_id, input=again)
    refused(more, 409, "a.txt")
    assert len(await chat.threads()) == 1
    assert len(await chat.items(thread_id)) == 2
    assert (
        await chat.post("threads.retry_after_item", thread_id=thread_id, item_id=item_id)
    ).status_code == 200
    await opened.swept()
    assert await content_of(chat, attachment["id"]) == TEXT
    # Once that message is gone the file is, too.
    assert (await chat.http.delete(f"/chat/threads/{thread_id}/items/{item_id}")).status_code == 204
    refused(await chat.post("threads.create", input=again), 404)


async def test_of_two_messages_that_carry_a_file_at_once_it_stays_with_the_first(
    opened: House, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were checked before either was stored."""
    chat = person(opened, who)
    attachment = await sent(chat)
    store = store_of(opened, who)
    add, order = store.add_thread_item, list[str]()
    both, stored = asyncio.Event(), asyncio.Event()

    async def in_turn(thread_id: str, item: Any, context: Any) -> None:
        if item.type == "user_message":
            order.append(thread_id)
            if len(order) == 1:
                await both.wait()
                await add(thread_id, item, context)
                stored.set()
                return
            both.set()
            await stored.wait()
        await add(thread_id, item, context)

    with monkeypatch.context() as patched:
        patched.setattr(store, "add_thread_item", in_turn)
        await asyncio.gather(converse(chat, attachment["id"]), converse(chat, attachment["id"]))
    first, second = order
    await chat.ask("threads.delete", thread_id=second)
    await opened.swept()
    assert await content_of(chat, attachment["id"]) == TEXT
    await chat.ask("threads.delete", thread_id=first)
    refused(await chat.http.get(f"/chat/attachments/{attachment['id']}"), 404)


async def test_a_file_whose_message_could_not_be_stored_can_be_sent_again(
    opened: House, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = person(opened, who)
    attachment = await sent(chat)
    store = store_of(opened, who)

    async def down(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("Gone.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "add_thread_item", down)
        await chat.post("threads.create", input=user_input(attachments=[attachment["id"]]))
    (failed,) = await chat.threads()
    thread_id, _ = await converse(chat, attachment["id"])
    assert thread_id != failed["id"]
    await chat.ask("threads.delete", thread_id=failed["id"])
    await opened.swept()
    assert await content_of(chat, attachment["id"]) == TEXT


async def test_a_file_cannot_be_sent_when_it_is_about_to_be_swept(
    opened: House, who: str, database: Looking
) -> None:
    chat = person(opened, who)
    young, old = await sent(chat, b"young"), await sent(chat, b"old")
    for attachment, hours in ((young, "22.9 hours"), (old, "23.1 hours")):
        if who == "alice":
            await database.execute(
                f"UPDATE chat_attachments SET created_at = now() - interval '{hours}' WHERE id = $1",  # noqa: S608 - two of our own
                attachment["id"],
            )
        else:
            (session,) = store_of(opened, who)._sessions._sessions.values()
            session.attachments[attachment["id"]].created_at -= timedelta(hours=float(hours.split()[0]))
    message = user_input(attachments=[young["id"], old["id"]])
    refused(await chat.post("threads.create", input=message), 409, "too long ago")
    assert await chat.threads() == []
    await converse(chat, young["id"])


async def test_a_message_carries_so_many_files(shared: House) -> None:
    ids = [f"atc_{number}" for number in range(21)]
    refused(await shared.alice.post("threads.create", input=user_input(attachments=ids)), 400, "20 files")


async def test_an_upload_keeps_no_connection_of_the_database(database_url: str, tmp_path: Path) -> None:
    async with files_house(database_url, tmp_path, chat_pool_min_size=0, chat_pool_max_size=1) as opened:
        alice = opened.alice
        announced = await announce(alice, size=10)
        go_on = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"12345"
            await go_on.wait()
            yield b"67890"

        url = announced["upload_descriptor"]["url"]
        uploading = asyncio.create_task(alice.http.put(url, content=slowly()))
        for _ in range(3):
            await alice.create("meanwhile")
        assert not uploading.done()
        go_on.set()
        assert (await uploading).status_code == 200
        assert await content_of(alice, announced["id"]) == b"1234567890"


# Links


async def test_links_are_made_new_whenever_items_leave_and_are_not_stored(
    opened: House, database: Looking, who: str
) -> None:
    chat = person(opened, who)
    picture = await sent(chat, PNG, "a.png", "image/png")
    thread_id, _ = await converse(chat, picture["id"])
    by_list = (await chat.ask("items.list", thread_id=thread_id, order="asc"))["data"][0]
    by_id = (await chat.ask("threads.get_by_id", thread_id=thread_id))["items"]["data"][0]
    by_rest = (await chat.http.get(f"/chat/threads/{thread_id}")).json()["items"]["data"][0]
    links = {picture["preview_url"]} | {
        item["attachments"][0]["preview_url"] for item in (by_list, by_id, by_rest)
    }
    assert len(links) == 4
    for link in links:
        assert (await chat.http.get(link)).content == PNG
    for table in ("chat_attachments", "chat_thread_items"):
        for row in await database.fetch(f"SELECT payload::text FROM {table}"):  # noqa: S608 - names above
            assert "token" not in row[0]


async def test_links_use_the_public_address(database_url: str, tmp_path: Path) -> None:
    async with files_house(database_url, tmp_path, chat_public_url="https://chat.example.com/ai/") as opened:
        alice = opened.alice
        announced = await announce(alice, "a.png", 5, "image/png")
        base = f"https://chat.example.com/ai/chat/attachments/{announced['id']}/file?token="
        assert announced["preview_url"].startswith(base)
        assert announced["upload_descriptor"]["url"].startswith(base)


async def test_only_the_right_link_opens_a_file_and_all_others_get_one_answer(shared: House) -> None:
    alice, bob = shared.alice, shared.bob
    mine, other = await sent(alice, b"mine"), await sent(alice, b"other")
    theirs = await sent(bob, b"theirs")
    announced = await announce(alice)
    url = (await details(alice, mine["id"]))["url"]
    token = parse_qs(urlsplit(url).query)["token"][0]
    upload_token = parse_qs(urlsplit(announced["upload_descriptor"]["url"]).query)["token"][0]

    def path(attachment_id: str, token: str) -> str:
        return f"/chat/attachments/{attachment_id}/file?token={token}"

    answers = [
        await alice.http.get(path(mine["id"], "")),
        await alice.http.get(f"/chat/attachments/{mine['id']}/file"),
        await alice.http.get(path(mine["id"], token[:-4] + "AAA=")),
        await alice.http.get(path(mine["id"], "é%00%ff")),
        await alice.http.get(path(other["id"], token)),
        await alice.http.get(path(theirs["id"], token)),
        await alice.http.get(path("atc_none", token)),
        await alice.http.get(path(announced["id"], upload_token)),
        await alice.http.put(path(mine["id"], token), content=b"x"),
        await alice.http.put(path(mine["id"], upload_token), content=b"x"),
        await alice.http.put(path("atc_none", upload_token), content=b"x"),
    ]
    for answer in answers:
        refused(answer, 404)
    assert len({answer.text for answer in answers}) == 1
    assert (await alice.http.get(url)).content == b"mine"


async def test_a_link_stops_working(opened: House) -> None:
    alice = opened.alice
    attachment, announced = await sent(alice), await announce(alice)
    found = await details(alice, attachment["id"])
    links = opened.app.state.services.links
    assert (await alice.http.get(found["url"])).status_code == 200
    links._clock = lambda: time.time() + 901
    refused(await alice.http.get(found["url"]), 404, "too old")
    refused(await put(alice, announced, TEXT), 404, "too old")
    assert await content_of(alice, attachment["id"]) == TEXT


# Whose it is


async def test_a_stranger_cannot_tell_a_file_from_none(shared: House, who: str) -> None:
    owner = person(shared, who)
    attachment = await sent(owner)
    for stranger in (shared.bob, shared.client()):
        answers = [
            answer
            for name in (attachment["id"], "atc_none")
            for answer in (
                await stranger.http.get(f"/chat/attachments/{name}"),
                await stranger.http.delete(f"/chat/attachments/{name}"),
                await stranger.post("threads.create", input=user_input(attachments=[name])),
            )
        ]
        for answer in answers:
            refused(answer, 404)
        assert [answer.text for answer in answers[:3]] == [answer.text for answer in answers[3:]]
        await stranger.ask("attachments.delete", attachment_id=attachment["id"])
        assert await stranger.threads() == []
    assert await content_of(owner, attachment["id"]) == TEXT


async def test_what_the_integration_noted_is_not_shown(opened: House) -> None:
    alice = opened.alice
    announced = await announce(alice)
    store, context = opened.app.state.services.accounts_store, ChatContext("demo-alice")
    stored = await store.load_attachment(announced["id"], context)
    noted = stored.model_copy(update={"metadata": {"inside": "secret"}})
    await store.save_attachment(noted, context)
    answers = [(await put(alice, announced, TEXT)).text]
    message = user_input(attachments=[announced["id"]])
    created = await alice.post("threads.create", input=message)
    thread_id = (await alice.threads())[0]["id"]
    answers += [
        created.text,
        json.dumps(await alice.items(thread_id)),
        (await alice.http.get(f"/chat/threads/{thread_id}")).text,
        json.dumps(await details(alice, announced["id"])),
    ]
    assert not [answer for answer in answers if "secret" in answer]
    assert (await store.load_attachment(announced["id"], context)).metadata == {"inside": "secret"}


async def test_off_refuses_clearly_and_takes_nothing(
    database_url: str, tmp_path: Path, database: Looking
) -> None:
    async with files_house(database_url, tmp_path, chat_attachments="off") as opened:
        for chat in (opened.alice, opened.client()):
            for answer in (
                await chat.post("attachments.create", name="a", size=1, mime_type="text/plain"),
                await chat.post("attachments.delete", attachment_id="atc_1"),
                await chat.post("threads.create", input=user_input(attachments=["atc_1"])),
                await send(chat, TEXT),
                await chat.http.get("/chat/attachments/atc_1"),
                await chat.http.delete("/chat/attachments/atc_1"),
            ):
                refused(answer, 400, "does not take attachments")
                assert answer.json()["error"]["code"] == "not_supported"
            await chat.create("Words are fine")
        assert (await rows(database), on_disk(tmp_path)) == (0, [])


# Nothing stays behind


async def _delete_message(chat: Chat, attachment_id: str, thread_id: str, item_id: str) -> None:
    response = await chat.http.delete(f"/chat/threads/{thread_id}/items/{item_id}")
    assert response.status_code == 204


async def _delete_thread(chat: Chat, attachment_id: str, thread_id: str, item_id: str) -> None:
    await chat.ask("threads.delete", thread_id=thread_id)


async def _delete_everything(chat: Chat, attachment_id: str, thread_id: str, item_id: str) -> None:
    assert (await chat.http.delete("/chat/me")).json()["attachments"] == 1


async def _delete_attachment(chat: Chat, attachment_id: str, thread_id: str, item_id: str) -> None:
    await chat.ask("attachments.delete", attachment_id=attachment_id)


async def _delete_by_rest(chat: Chat, attachment_id: str, thread_id: str, item_id: str) -> None:
    assert (await chat.http.delete(f"/chat/attachments/{attachment_id}")).status_code == 204


@pytest.mark.parametrize(
    "delete", [_delete_message, _delete_thread, _delete_everything, _delete_attachment, _delete_by_rest]
)
async def test_bytes_go_with_what_they_belong_to(
    opened: House, tmp_path: Path, database: Looking, who: str, delete: Any
) -> None:
    chat = person(opened, who)
    attachment = await sent(chat)
    link = (await details(chat, attachment["id"]))["url"]
    ids = await converse(chat, attachment["id"])
    assert len(on_disk(tmp_path) + in_memory(opened)) == 1
    await delete(chat, attachment["id"], *ids)
    refused(await chat.http.get(link), 404)
    await opened.swept()
    assert on_disk(tmp_path) + in_memory(opened) == []
    assert await rows(database, "chat_file_removals") == 0


async def test_a_deletion_is_swept_without_being_asked(opened: House, tmp_path: Path) -> None:
    alice = opened.alice
    attachment = await sent(alice)
    await alice.ask("attachments.delete", attachment_id=attachment["id"])
    async with asyncio.timeout(20):
        while on_disk(tmp_path):
            await asyncio.sleep(0.02)


async def test_bytes_whose_attachment_was_not_completed_go(
    opened: House,
    tmp_path: Path,
    database: Looking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process dies between the bytes and the row."""
    alice = opened.alice
    store = opened.app.state.services.accounts_store
    announced = await announce(alice)

    async def dies(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("Gone.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "complete_file", dies)
        assert (await put(alice, announced, TEXT)).status_code == 503
        assert (await send(alice, TEXT)).status_code == 503
    assert len(on_disk(tmp_path)) == 2
    await opened.swept()
    assert len(on_disk(tmp_path)) == 2  # Somebody may be about to finish.
    await all_due(database)
    await opened.swept()
    assert on_disk(tmp_path) == []
    assert (await put(alice, announced, TEXT)).status_code == 200
    assert await content_of(alice, announced["id"]) == TEXT
    assert await rows(database) == 1


async def test_what_a_dead_process_had_to_remove_the_next_one_removes(
    database_url: str, tmp_path: Path, database: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by itself a second after each deletion: the test says when.
    monkeypatch.setattr("app.files.sweep._GATHER_SECONDS", 3600.0)
    async with files_house(database_url, tmp_path) as opened:
        alice = opened.alice
        finder = opened.app.state.services.sweeper._finder

        async def dies(*_: Any) -> None:
            raise StoreUnavailable("Gone.")

        # Dies behind the delete of the row, and behind the delete of the bytes.
        monkeypatch.setattr(finder, "forget", dies)
        for _ in range(2):
            attachment = await sent(alice)
            await alice.ask("attachments.delete", attachment_id=attachment["id"])
        assert len(on_disk(tmp_path)) == 2
        with pytest.raises(StoreUnavailable):
            await opened.swept()
        attachment = await sent(alice)
        await alice.ask("attachments.delete", attachment_id=attachment["id"])
    async with files_house(database_url, tmp_path) as opened:
        assert await opened.swept() == 3
    assert on_disk(tmp_path) == []
    assert await rows(database, "chat_file_removals") == 0


async def test_files_that_no_message_carries_go_after_a_day(
    opened: House, tmp_path: Path, database: Looking
) -> None:
    alice = opened.alice
    carried, orphan, young = await sent(alice, b"carried"), await sent(alice, b"orphan"), await sent(alice)
    announced = await announce(alice)
    await converse(alice, carried["id"])
    await database.execute(
        "UPDATE chat_attachments SET created_at = now() - interval '25 hours' WHERE id = ANY($1)",
        [carried["id"], orphan["id"], announced["id"]],
    )
    await opened.swept()
    assert len(on_disk(tmp_path)) == 2
    assert await content_of(alice, carried["id"]) == b"carried"
    assert await content_of(alice, young["id"]) == TEXT
    for gone in (orphan["id"], announced["id"]):
        refused(await alice.http.get(f"/chat/attachments/{gone}"), 404)
    refused(await put(alice, announced, TEXT), 404)


async def test_many_files_are_swept_in_steps(opened: House, database: Looking) -> None:
    await database.execute(
        "INSERT INTO chat_attachments (user_id, id, size, payload, created_at)"
        " SELECT 'somebody', n::text, 1, '{}', now() - interval '2 days' FROM generate_series(1, 250) n"
    )
    assert await opened.swept() == 250
    assert await rows(database) + await rows(database, "chat_file_removals") == 0


async def test_a_file_whose_message_was_added_to_a_conversation_on_its_way_out_goes(
    opened: House, tmp_path: Path, database_url: str, database: Looking
) -> None:
    """The delete of the conversation began before the message was there, and waited for it."""
    alice = opened.alice
    attachment, other = await sent(alice), await sent(alice, b"carried")
    await converse(alice, other["id"])
    thread_id = await alice.create("Hello")
    adding = await asyncpg.connect(database_url)
    transaction = adding.transaction()
    await transaction.start()
    added = {"owner": "demo-alice", "thread": thread_id, "item": "msg_late", "type_": "user_message"}
    await adding.fetch(
        PUT_WITH_FILES.sql,
        *PUT_WITH_FILES.arguments({**added, "payload_": "{}", "files": [attachment["id"]], "note": None}),
    )
    # Nothing of it can be seen yet; neither the message nor its file is one that lost the other.
    assert await opened.swept() == 0
    deleting = asyncio.create_task(alice.ask("threads.delete", thread_id=thread_id))
    async with asyncio.timeout(10):
        while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    assert await opened.swept() == 0
    await transaction.commit()
    await adding.close()
    await deleting
    assert await rows(database) == 2
    await opened.swept()
    assert await rows(database) == 1
    refused(await alice.http.get(f"/chat/attachments/{attachment['id']}"), 404)
    assert await content_of(alice, other["id"]) == b"carried"
    assert len(on_disk(tmp_path)) == 1


async def test_files_that_lost_their_message_are_swept_in_steps(opened: House, database: Looking) -> None:
    await database.execute(
        "INSERT INTO chat_attachments (user_id, id, thread_id, item_id, size, payload, created_at)"
        " SELECT 'somebody', n::text, 'thr', 'msg', 1, '{}', now() - n * interval '1 second'"
        " FROM generate_series(1, 250) n"
    )
    assert await opened.swept() == 250
    assert await rows(database) + await rows(database, "chat_file_removals") == 0


async def test_a_file_store_that_is_down_costs_nothing_but_a_retry(
    opened: House, tmp_path: Path, database: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = opened.alice
    kept = await sent(alice, b"kept")
    blobs = opened.app.state.services.accounts.files.blobs

    async def down(*_: Any) -> None:
        raise StoreUnavailable("Files cannot be reached right now. Please try again in a moment.")

    with monkeypatch.context() as patched:
        for method in ("put", "stream", "delete"):
            patched.setattr(blobs, method, down)
        answer = await send(alice, TEXT)
        refused(answer, 503, "try again")
        assert answer.headers["retry-after"]
        refused(await alice.http.get((await details(alice, kept["id"]))["url"]), 503)
        await alice.ask("attachments.delete", attachment_id=kept["id"])
        with pytest.raises(StoreUnavailable):
            await opened.swept()
        assert len(on_disk(tmp_path)) == 1
        await alice.create("Words are fine")
    await opened.swept()
    assert on_disk(tmp_path) == []
    assert await rows(database) == 0


async def test_an_attachment_that_is_deleted_while_it_arrives_stays_deleted(
    opened: House, tmp_path: Path, database: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = opened.alice
    blobs = opened.app.state.services.accounts.files.blobs
    announced = await announce(alice)
    write = blobs.put

    async def deleted_meanwhile(*arguments: Any) -> None:
        await alice.ask("attachments.delete", attachment_id=announced["id"])
        await write(*arguments)

    monkeypatch.setattr(blobs, "put", deleted_meanwhile)
    refused(await put(alice, announced, TEXT), 404)
    await all_due(database)
    await opened.swept()
    assert (await rows(database), on_disk(tmp_path)) == (0, [])


# Visitors


async def test_a_visitor_s_files_are_within_the_visitor_s_bounds(database_url: str, tmp_path: Path) -> None:
    async with files_house(database_url, tmp_path, chat_memory_max_bytes=100_000) as opened:
        visitor = opened.client()
        kept = await sent(visitor, b"x" * 60_000)
        refused(await send(visitor, b"x" * 60_000), 413, "sign in")
        assert len(in_memory(opened)) == 1
        assert await content_of(visitor, kept["id"]) == b"x" * 60_000
        await sent(opened.client(), b"x" * 60_000)
        assert len(in_memory(opened)) == 1
        refused(await visitor.http.get(f"/chat/attachments/{kept['id']}"), 404)


async def test_a_visitor_s_files_come_along_into_the_account(
    opened: House, tmp_path: Path, database: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = opened.client()
    picture, unsent, announced = await sent(visitor, PNG), await sent(visitor), await announce(visitor)
    thread_id, item_id = await converse(visitor, picture["id"])
    visitor.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]

    async def down(*_: Any) -> None:
        raise StoreUnavailable("Gone.")

    with monkeypatch.context() as patched:
        patched.setattr(opened.app.state.services.accounts_store, "take_in", down)
        refused(await visitor.http.post("/chat/claim"), 503)
    del visitor.http.headers["Authorization"]
    assert await content_of(visitor, picture["id"]) == PNG
    assert len(on_disk(tmp_path)) == 2
    await all_due(database)
    await opened.swept()
    assert on_disk(tmp_path) == []

    visitor.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]
    claimed = await visitor.http.post("/chat/claim")
    assert claimed.json() == {"threads": 1, "items": 2, "attachments": 3}
    alice = opened.alice
    assert in_memory(opened) == []
    assert await rows(database, "chat_file_removals") == 0
    shown = (await alice.items(thread_id))[0]["attachments"][0]
    assert (await alice.http.get(shown["preview_url"])).content == PNG
    assert await content_of(alice, unsent["id"]) == TEXT
    assert (await details(alice, announced["id"]))["url"] is None
    await alice.http.delete(f"/chat/threads/{thread_id}/items/{item_id}")
    await opened.swept()
    assert len(on_disk(tmp_path)) == 1


async def test_the_files_of_a_visitor_who_keeps_an_id_need_not_move(
    database_url: str, tmp_path: Path
) -> None:
    async with files_house(database_url, tmp_path, chat_anonymous="persist") as opened:
        visitor = opened.client()
        picture = await sent(visitor, PNG)
        thread_id, _ = await converse(visitor, picture["id"])
        before = on_disk(tmp_path)
        visitor.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]
        assert (await visitor.http.post("/chat/claim")).json()["attachments"] == 1
        assert await content_of(opened.alice, picture["id"]) == PNG
        assert on_disk(tmp_path) == before
        refused(await visitor.http.get(picture["preview_url"]), 404)
        await opened.alice.ask("threads.delete", thread_id=thread_id)
        await opened.swept()
        assert on_disk(tmp_path) == []
