"""Who is asking, and who gets to see what."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.identity.bearer import Issuers
from app.identity.demo import _NAME as ISSUER
from app.identity.demo import DemoSignIn
from app.main import create_app
from app.settings import Settings
from tests.support.server import House, house, serving, user_input

Forge = Callable[[DemoSignIn], str]


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, with some changed or, by None, left out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": ISSUER, "sub": "demo-alice", "iat": now, "exp": now + 600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(**changes: Any) -> Forge:
    return lambda demo: jwt.encode(claims(**changes), demo._key, algorithm="EdDSA")


FORGED: dict[str, Forge] = {
    "not a token": lambda demo: "a.b.c",
    "other key": lambda demo: jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
    "algorithm none": lambda demo: jwt.encode(claims(), "", algorithm="none"),
    "HMAC": lambda demo: jwt.encode(claims(), "x" * 64, algorithm="HS256"),
    "changed after signing": lambda demo: demo.mint("bob")[:-4] + "AAAA",
    "expired": signed(exp=int(time.time()) - 600),
    "not valid yet": signed(nbf=int(time.time()) + 366 * 24 * 3600),
    "other issuer": signed(iss="somebody"),
    "other audience": signed(aud="somebody"),
    "no audience": signed(aud=None),
    "no expiry": signed(exp=None),
    "no subject": signed(sub=None),
    "empty subject": signed(sub=""),
    "subject with NUL": signed(sub="a\x00b"),
    "endless subject": signed(sub="x" * 300),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_is_401_and_never_an_anonymous_visitor(
    shared_house: House, forge: Forge
) -> None:
    token = forge(shared_house._demo)
    forger = shared_house.client({"Authorization": f"Bearer {token}"})
    refused = await forger.post("threads.list")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["code"] == "unauthorized"
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("header", ["Basic YWxpY2U6", "Bearer", "alice", ""])
async def test_another_authorization_is_401(shared_house: House, header: str) -> None:
    assert (await shared_house.client({"Authorization": header}).post("threads.list")).status_code == 401


async def test_a_good_token_is_let_in(shared_house: House) -> None:
    token = signed()(shared_house._demo)
    assert await shared_house.client({"Authorization": f"bearer {token}"}).threads() == []


async def test_a_token_without_any_issuer_configured_is_401(database_url: str) -> None:
    async with house(database_url) as opened:
        opened.app.state.services.identity._issuers = Issuers()
        assert (await opened.alice.post("threads.list")).status_code == 401


async def test_a_visitor_without_an_account_has_a_session_of_the_browser(database_url: str) -> None:
    async with house(database_url) as opened:
        visitor, other = opened.client(), opened.client()
        thread_id = await visitor.create("Hello")
        assert await visitor.texts(thread_id) == ["Hello", "Hello"]
        assert await other.threads() == []
        assert (await other.post("threads.get_by_id", thread_id=thread_id)).status_code == 404
        assert (await opened.alice.post("threads.get_by_id", thread_id=thread_id)).status_code == 404
        begun = await opened.client().post("threads.list")
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "max-age" not in cookie
        assert "expires" not in cookie
    async with house(database_url) as opened:
        # Kept in the memory of the server that is gone, and nowhere else.
        assert await visitor_at(opened, visitor.http.cookies["chat_session"]).threads() == []


def visitor_at(opened: House, session: str) -> Any:
    return opened.client({"Cookie": f"chat_session={session}"})


@pytest.mark.parametrize("session", ["x", "a" * 5000, "../../etc", "demo-alice"])
async def test_a_made_up_session_is_replaced_by_a_new_one(shared_house: House, session: str) -> None:
    response = await visitor_at(shared_house, session).post("threads.list")
    assert response.status_code == 200
    assert "chat_session=" in response.headers["set-cookie"]


async def test_anonymous_visitors_can_be_refused(database_url: str) -> None:
    async with house(database_url, chat_anonymous="deny") as opened:
        refused = await opened.client().post("threads.create", input=user_input())
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert await opened.alice.threads() == []


async def test_a_stranger_cannot_tell_an_existing_thread_from_none(shared_house: House) -> None:
    thread_id = await shared_house.alice.create("secret")
    before = await shared_house.alice.items(thread_id)
    mine = before[0]["id"]
    bob = shared_house.bob

    def requests(thread: str, item: str) -> list[tuple[str, dict[str, Any]]]:
        action = {"type": "vote", "payload": None}
        return [
            ("threads.get_by_id", {"thread_id": thread}),
            ("threads.update", {"thread_id": thread, "title": "evil"}),
            ("threads.delete", {"thread_id": thread}),
            ("threads.add_user_message", {"thread_id": thread, "input": user_input("evil")}),
            ("items.list", {"thread_id": thread}),
            ("items.list", {"thread_id": thread, "after": item}),
            ("threads.retry_after_item", {"thread_id": thread, "item_id": item}),
            ("items.feedback", {"thread_id": thread, "item_ids": [item], "kind": "negative"}),
            ("threads.custom_action", {"thread_id": thread, "item_id": item, "action": action}),
            ("threads.sync_custom_action", {"thread_id": thread, "item_id": item, "action": action}),
            ("threads.add_client_tool_output", {"thread_id": thread, "result": "evil"}),
            ("threads.add_structured_input", {"thread_id": thread, "item_id": item, "input": {}}),
            ("threads.list", {"after": thread}),
        ]

    for (type_, real), (_, none) in zip(requests(thread_id, mine), requests("thr_0", "msg_0"), strict=True):
        theirs, nothing = await bob.post(type_, **real), await bob.post(type_, **none)
        assert (theirs.status_code, theirs.text) == (nothing.status_code, nothing.text), type_
    assert await shared_house.alice.items(thread_id) == before
    assert (await shared_house.alice.threads())[0]["title"] == "secret"


async def test_demo_sign_in_gives_tokens_to_the_two_demo_users_only(shared_house: House) -> None:
    visitor = shared_house.client()
    token = (await visitor.http.post("/demo/sign-in", json={"user": "alice"})).json()["token"]
    assert (await shared_house.client({"Authorization": f"Bearer {token}"}).post("threads.list")).is_success
    refused = await visitor.http.post("/demo/sign-in", json={"user": "root"})
    assert refused.status_code == 400


async def test_outside_the_demo_there_is_no_sign_in_and_no_page(database_url: str) -> None:

    app = create_app(Settings(database_url=database_url, _env_file=None))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.post("/demo/sign-in", json={"user": "alice"})).status_code == 404
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_only_named_origins_may_call(database_url: str) -> None:
    async with house(database_url, cors_allowed_origins="https://site.example, https://b.example") as opened:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        http = opened.client().http
        good = await http.options("/chatkit", headers={**ask, "Origin": "https://site.example"})
        assert good.headers["access-control-allow-origin"] == "https://site.example"
        bad = await http.options("/chatkit", headers={**ask, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in bad.headers
