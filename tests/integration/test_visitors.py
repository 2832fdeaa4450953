"""Visitors without an account: who they are, what they keep, and how an account takes it over."""

import asyncio
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from app.errors import StoreUnavailable, Unauthorized
from app.identity.bearer import BearerTokens
from app.identity.caller import SESSION_COOKIE, VISITOR_COOKIE, VISITOR_HEADER
from app.repositories.owners import Counts
from app.repositories.takeover import TakeoverRepository
from tests.support.responders import Paused
from tests.support.server import Chat, House, house, user_input

HTTPS = {"X-Forwarded-Proto": "https"}  # From loopback, which the server trusts to say so.


async def owners(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    found = [row[0] for row in await connection.fetch("SELECT DISTINCT user_id FROM chat_threads ORDER BY 1")]
    await connection.close()
    return found


async def visitor_id(opened: House) -> str:
    """Return the id of a visitor who is new, as a page on another site would keep it."""
    return (await opened.client().http.get("/chat/threads")).headers[VISITOR_HEADER]


def with_id(opened: House, signed: str) -> Chat:
    return opened.client({VISITOR_HEADER: signed})


def signed_in(opened: House, headers: dict[str, str], cookies: dict[str, str] | None = None) -> Chat:
    token = opened._demo.mint("alice")
    chat = opened.client({"Authorization": f"Bearer {token}", **headers})
    chat.http.cookies.update(cookies or {})
    return chat


async def test_a_visitors_history_outlives_the_server(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        thread_id = await visitor.create("Remember me")
        signed = visitor.http.cookies[VISITOR_COOKIE]
        [owner] = await owners(database_url)
        assert owner.startswith("visitor:")
    async with house(database_url, chat_anonymous="persist") as opened:
        assert await with_id(opened, signed).texts(thread_id) == ["Remember me", "Remember me"]
        again = opened.client({"Cookie": f"{VISITOR_COOKIE}={signed}"})
        assert [thread["id"] for thread in await again.threads()] == [thread_id]
        assert await opened.client().threads() == []
        assert await opened.alice.threads() == []


async def test_the_processes_of_a_service_know_each_others_visitors(database_url: str) -> None:
    settings: dict[str, Any] = {"chat_anonymous": "persist"}
    async with house(database_url, **settings) as one, house(database_url, **settings) as two:
        ids = await asyncio.gather(*(visitor_id(opened) for opened in (one, two, one, two)))
        for signed in ids:
            assert (await with_id(one, signed).post("threads.list")).status_code == 200
            assert (await with_id(two, signed).post("threads.list")).status_code == 200


async def test_a_configured_secret_is_used(database_url: str) -> None:
    settings: dict[str, Any] = {"chat_anonymous": "persist", "chat_secret": "s" * 40}
    async with house(database_url, **settings) as opened:
        signed = await visitor_id(opened)
    async with house(database_url, **settings) as opened:
        assert (await with_id(opened, signed).post("threads.list")).status_code == 200
    async with house(database_url, **{**settings, "chat_secret": "t" * 40}) as opened:
        assert (await with_id(opened, signed).post("threads.list")).status_code == 401


async def test_a_visitor_id_cannot_be_made_up(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        victim = opened.client()
        thread_id = await victim.create("Private")
        signed = victim.http.cookies[VISITOR_COOKIE]
        name, signature = signed.split(".")
        other_name, other_signature = (await visitor_id(opened)).split(".")
        [owner] = await owners(database_url)
        forged = [
            "", "x", name, f"{name}.", owner, f"{name}.{'A' * 43}", f"{name}.{other_signature}",
            f"{other_name}.{signature}", f"{signed}.{signature}", f"{name[:-1]}A.{signature}",
            f"visitor:{signed}", signed.upper(), "A" * 5000,
        ]  # fmt: skip
        for value in forged:
            if value == signed:
                continue
            refused = await with_id(opened, value).http.get("/chat/threads")
            assert refused.status_code == 401, value
            assert refused.json()["error"]["code"] == "unauthorized"
            # A cookie that is not good is replaced: the page cannot see it, let alone mend it.
            begun = await opened.client({"Cookie": f"{VISITOR_COOKIE}={value}"}).http.get("/chat/threads")
            assert begun.json()["data"] == []
            assert begun.headers[VISITOR_HEADER] != signed
        assert await victim.texts(thread_id) == ["Private", "Private"]


async def test_an_account_cannot_be_named_like_a_visitor(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        await opened.client().create("Private")
        [owner] = await owners(database_url)
        evil = jwt.encode({"iss": "i", "aud": "a", "sub": owner, "exp": 2**31}, opened._demo._key, "EdDSA")
        with pytest.raises(Unauthorized):
            await BearerTokens(opened._demo, issuer="i", audience="a").user_of(evil)


async def test_the_cookies_are_safe(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        plain = (await opened.client().http.get("/chat/threads")).headers["set-cookie"].lower()
        for flag in ("httponly", "samesite=lax", "path=/", "max-age=34560000"):
            assert flag in plain
        assert "secure" not in plain
        secure = (await opened.client(HTTPS).http.get("/chat/threads")).headers["set-cookie"].lower()
        assert "; secure" in secure
        # No neighbour can plant a cookie of this name, and no other name is looked at.
        assert secure.startswith(f"__host-{VISITOR_COOKIE}=")
        visitor = opened.client(HTTPS)
        thread_id = await visitor.create("Hello")
        signed = {cookie.name: cookie.value for cookie in visitor.http.cookies.jar}[
            f"__Host-{VISITOR_COOKIE}"
        ]
        again = opened.client({**HTTPS, "Cookie": f"__Host-{VISITOR_COOKIE}={signed}"})
        assert [thread["id"] for thread in await again.threads()] == [thread_id]
        planted = opened.client({**HTTPS, "Cookie": f"{VISITOR_COOKIE}={signed}"})
        assert await planted.threads() == []
    site = "https://site.example"
    async with house(database_url, chat_anonymous="persist", cors_allowed_origins=site) as opened:
        # Only the page that was named, and only over https, may have its cookie sent across sites.
        for headers, same_site in (
            ({**HTTPS, "Origin": site}, "none"),
            ({"Origin": site}, "lax"),
            ({**HTTPS, "Origin": "https://evil.example"}, "lax"),
        ):
            answer = await opened.client(headers).http.get("/chat/threads")
            assert f"samesite={same_site}" in answer.headers["set-cookie"].lower()
        named = await opened.client({"Origin": site}).http.get("/chat/threads")
        assert VISITOR_HEADER.lower() in named.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("anonymous", ["memory", "persist"])
async def test_another_site_cannot_use_a_visitors_cookie(database_url: str, anonymous: str) -> None:
    async with house(
        database_url, chat_anonymous=anonymous, cors_allowed_origins="https://site.example"
    ) as opened:
        visitor = opened.client()
        thread_id = await visitor.create("Mine")

        async def tried(headers: dict[str, str]) -> int:
            renamed = await visitor.http.patch(
                f"/chat/threads/{thread_id}", json={"title": "Mine"}, headers=headers
            )
            deleted = await visitor.http.delete("/chat/threads/thr_0", headers=headers)
            assert (renamed.status_code == 403) == (deleted.status_code == 403)
            return renamed.status_code

        origins = ("https://evil.example", "null", opened.url + "0", "http://sub.127.0.0.1", "http://[")
        for origin in (*origins, opened.url.replace("http:", "ftp:"), "//" + opened.url[7:], ""):
            assert await tried({"Origin": origin}) == 403
            assert await tried({"Origin": origin, "Sec-Fetch-Site": "cross-site"}) == 403
            assert await tried({"Origin": origin, "Sec-Fetch-Site": "same-site"}) == 403
        for headers in (
            {},
            {"Origin": opened.url},
            {"Origin": "https://site.example", "Sec-Fetch-Site": "cross-site"},
            # Behind a proxy that changes Host, the browser still says that the page is our own.
            {"Origin": "https://public.example", "Sec-Fetch-Site": "same-origin"},
        ):
            assert await tried(headers) == 200
        read = await visitor.http.get("/chat/threads", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize("anonymous", ["memory", "persist"])
@pytest.mark.parametrize("way", ["cookie", "header"])
async def test_an_account_takes_over_what_its_user_began_as_a_visitor(
    database_url: str, anonymous: str, way: str
) -> None:
    if (anonymous, way) == ("memory", "header"):
        way = "cookie"
    async with house(database_url, chat_anonymous=anonymous) as opened:
        visitor = opened.client()
        first = await visitor.create("First \x00 😀")
        second = await visitor.create("Second")
        await visitor.add(first, "More")
        before = {thread: await visitor.items(thread) for thread in (first, second)}
        rated = before[second][1]["id"]
        await visitor.ask("items.feedback", thread_id=second, item_ids=[rated], kind="positive")
        rows = (await visitor.http.get("/chat/threads")).json()
        cookies = dict(visitor.http.cookies)
        alice = (
            signed_in(opened, {}, cookies)
            if way == "cookie"
            else signed_in(opened, {VISITOR_HEADER: cookies[VISITOR_COOKIE]})
        )
        own = await alice.create("Alice's own")

        claimed = await alice.http.post("/chat/claim")
        assert (claimed.status_code, claimed.json()) == (200, {"threads": 2, "items": 6, "attachments": 0})
        alice = opened.alice
        assert (await alice.http.get("/chat/threads", params={"after": own})).json()["data"] == rows["data"]
        assert {thread: await alice.items(thread) for thread in (first, second)} == before
        feedback = await alice.http.get(f"/chat/threads/{second}/feedback")
        assert feedback.json() == {"data": {rated: "positive"}}
        await alice.add(first, "Going on")
        assert (await alice.texts(first))[-1] == "Going on"
        # The visitor has nothing left, and cannot reach what was theirs.
        assert await visitor.threads() == []
        assert (await visitor.post("threads.get_by_id", thread_id=first)).status_code == 404
        if way == "cookie":
            assert "max-age=0" in claimed.headers["set-cookie"].lower()


@pytest.mark.parametrize("anonymous", ["memory", "persist"])
async def test_a_claim_is_made_once(database_url: str, anonymous: str) -> None:
    async with house(database_url, chat_anonymous=anonymous) as opened:
        visitor = opened.client()
        for n in range(5):
            await visitor.create(str(n))
        cookies = dict(visitor.http.cookies)
        bob_token = opened._demo.mint("bob")
        bob = opened.client({"Authorization": f"Bearer {bob_token}"})
        bob.http.cookies.update(cookies)
        claimants = [signed_in(opened, {}, cookies), bob] * 4
        answers = await asyncio.gather(*(who.http.post("/chat/claim") for who in claimants))
        # While a session is handed over, another claim of it has to wait.
        moved = [answer.json()["threads"] for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} <= ({200, 409} if anonymous == "memory" else {200})
        assert sorted(moved) == [0] * (len(moved) - 1) + [5]
        assert sorted([len(await opened.alice.threads()), len(await opened.bob.threads())]) == [0, 5]


async def test_a_claim_needs_an_account_and_a_real_visitor(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.create("Mine")
        assert (await visitor.http.post("/chat/claim")).status_code == 401
        forged = await signed_in(opened, {VISITOR_HEADER: "forged"}).http.post("/chat/claim")
        assert forged.status_code == 400
        nobody = await signed_in(opened, {}).http.post("/chat/claim")
        assert nobody.json() == {"threads": 0, "items": 0, "attachments": 0}
        assert len(await visitor.threads()) == 1


@pytest.mark.parametrize("anonymous", ["memory", "persist"])
async def test_a_claim_that_fails_moves_nothing(database_url: str, anonymous: str) -> None:
    async with house(database_url, chat_anonymous=anonymous) as opened:
        visitor = opened.client()
        mine = [await visitor.create(str(n)) for n in range(3)]
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN
                    IF NEW.user_id = 'demo-alice' AND NEW.title = '1' THEN RAISE 'no'; END IF;
                    RETURN NEW;
                END $$;
            CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON chat_threads
                FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )
        alice = signed_in(opened, {}, dict(visitor.http.cookies))
        assert (await alice.http.post("/chat/claim")).status_code == 500
        assert {thread["id"] for thread in await visitor.threads()} == set(mine)
        assert await opened.alice.threads() == []
        await connection.execute("DROP TRIGGER refuse ON chat_threads")
        await connection.close()
        assert (await alice.http.post("/chat/claim")).json()["threads"] == 3


async def test_a_thread_that_the_account_has_already_is_a_conflict(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        mine = [await visitor.create(str(n)) for n in range(2)]
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "INSERT INTO chat_threads (user_id, id, status, payload, metadata)"
            " SELECT 'demo-alice', id, status, payload, metadata FROM chat_threads WHERE id = $1",
            mine[0],
        )
        await connection.close()
        refused = await signed_in(opened, {}, dict(visitor.http.cookies)).http.post("/chat/claim")
        assert refused.status_code == 409
        assert {thread["id"] for thread in await visitor.threads()} == set(mine)


async def test_a_session_is_not_handed_over_while_it_is_answered(database_url: str) -> None:
    paused = Paused()
    async with house(database_url, paused) as opened:
        visitor = opened.client()
        await visitor.http.get("/chat/threads")  # Its cookie, before the stream.
        answering = asyncio.create_task(visitor.stream("threads.create", input=user_input("Hi")))
        await paused.waiting.wait()
        alice = signed_in(opened, {}, dict(visitor.http.cookies))
        refused = await alice.http.post("/chat/claim")
        assert (refused.status_code, refused.headers["retry-after"]) == (409, "2")
        paused.go_on.set()
        events = await answering
        assert (await alice.http.post("/chat/claim")).json()["threads"] == 1
        assert await opened.alice.texts(events[0]["thread"]["id"]) == ["Hi", "Half done"]


@pytest.mark.parametrize("same_process", [True, False])
async def test_an_answer_in_progress_goes_with_its_claimed_thread(
    database_url: str, same_process: bool
) -> None:
    paused = Paused()
    settings: dict[str, Any] = {"chat_anonymous": "persist"}
    async with house(database_url, paused, **settings) as opened, house(database_url, **settings) as other:
        visitor = opened.client()
        await visitor.http.get("/chat/threads")
        answering = asyncio.create_task(visitor.stream("threads.create", input=user_input("Hi")))
        await paused.waiting.wait()
        claiming = signed_in(opened if same_process else other, {}, dict(visitor.http.cookies))
        assert (await claiming.http.post("/chat/claim")).json()["threads"] == 1
        paused.go_on.set()
        events = await answering
        assert "error" not in {event["type"] for event in events}
        thread_id = events[0]["thread"]["id"]
        assert await opened.alice.texts(thread_id) == ["Hi", "Half done"]
        # That was the answer's way, and is nobody else's: the old id opens nothing.
        for type_, params in (
            ("threads.add_user_message", {"thread_id": thread_id, "input": user_input("evil")}),
            ("threads.get_by_id", {"thread_id": thread_id}),
            ("threads.update", {"thread_id": thread_id, "title": "evil"}),
        ):
            assert (await visitor.post(type_, **params)).status_code == 404
        renamed = await visitor.http.patch(f"/chat/threads/{thread_id}", json={"title": "evil"})
        assert renamed.status_code == 404
        assert await opened.alice.texts(thread_id) == ["Hi", "Half done"]
        assert (await opened.alice.threads())[0]["title"] == "Hi"


async def test_nothing_begins_while_a_session_is_handed_over(database_url: str) -> None:
    async with house(database_url) as opened:
        visitor = opened.client()
        thread_id = await visitor.create("One")
        services = opened.app.state.services
        with services.turns.hold(f"session:{visitor.http.cookies[SESSION_COOKIE]}"):
            for response in (
                await visitor.post("threads.add_user_message", thread_id=thread_id, input=user_input()),
                await visitor.post("threads.create", input=user_input()),
                await visitor.http.delete("/chat/me"),
                await visitor.http.get("/chat/threads"),
            ):
                assert (response.status_code, response.headers["retry-after"]) == (409, "2")
        assert await visitor.texts(thread_id) == ["One", "One"]


async def test_a_claim_whose_answer_was_lost_is_made_again_and_loses_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(database_url) as opened:
        visitor = opened.client()
        thread_id = await visitor.create("One")
        alice = signed_in(opened, {}, dict(visitor.http.cookies))

        async def lost(self: TakeoverRepository, *copies: Any) -> Counts:
            await take_in(self, *copies)
            raise StoreUnavailable("The database does not answer.")

        take_in = TakeoverRepository.take_in
        with monkeypatch.context() as patch:
            patch.setattr(TakeoverRepository, "take_in", lost)
            assert (await alice.http.post("/chat/claim")).status_code == 503
        # Both go on with what they have.
        await visitor.add(thread_id, "Two")
        await opened.alice.add(thread_id, "Three")
        assert (await alice.http.post("/chat/claim")).json() == {"threads": 1, "items": 2, "attachments": 0}
        assert await opened.alice.texts(thread_id) == [*["One"] * 2, *["Three"] * 2, *["Two"] * 2]
        await opened.alice.add(thread_id, "Four")
        assert (await opened.alice.texts(thread_id))[-1] == "Four"


async def test_all_that_a_browser_was_is_claimed(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        by_cookie, by_header = opened.client(), opened.client()
        for n, visitor in enumerate((by_cookie, by_header)):
            await visitor.create(str(n))
        header = {VISITOR_HEADER: by_header.http.cookies[VISITOR_COOKIE]}
        alice = signed_in(opened, header, dict(by_cookie.http.cookies))
        assert (await alice.http.post("/chat/claim")).json()["threads"] == 2
        assert {thread["title"] for thread in await opened.alice.threads()} == {"0", "1"}


async def test_newcomers_from_one_address_are_limited_and_nobody_else(database_url: str) -> None:
    async with house(database_url, chat_rate_limit_newcomers="3/day") as opened:
        here, elsewhere = ({"X-Forwarded-For": address} for address in ("203.0.113.5", "203.0.113.6"))
        known = opened.client(here)
        await known.create()
        answers = [await opened.client(here).http.get("/chat/threads") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert len(await known.threads()) == 1
        token = {"Authorization": f"Bearer {opened._demo.mint('alice')}"}
        for chat in (opened.client(elsewhere), opened.client({**here, **token}), opened.client()):
            assert (await chat.http.get("/chat/threads")).status_code == 200


async def test_messages_that_arrive_during_a_claim_are_not_lost(database_url: str) -> None:
    """Each message is either in the account's thread, or its sender was told that it was not taken."""
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        thread_id = await visitor.create("0")
        alice = signed_in(opened, {}, dict(visitor.http.cookies))

        async def say(n: int) -> str | None:
            response = await visitor.post(
                "threads.add_user_message", thread_id=thread_id, input=user_input(f"n{n}")
            )
            taken = response.status_code == 200 and "thread.item.done" in response.text
            return f"n{n}" if taken else None

        async def take() -> httpx.Response:
            return await alice.http.post("/chat/claim")

        *said, _ = await asyncio.gather(*(say(n) for n in range(30)), take())
        await take()
        kept = await opened.alice.texts(thread_id)
        assert {text for text in said if text} <= set(kept)


async def test_a_session_is_not_a_visitor(database_url: str) -> None:
    async with house(database_url, chat_anonymous="memory") as opened:
        visitor = opened.client()
        await visitor.create("In memory")
        assert set(visitor.http.cookies) == {SESSION_COOKIE}
        assert await owners(database_url) == []
