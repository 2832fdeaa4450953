"""A real Better Auth server behind a real chat server: accounts, their tokens, and their end."""

import asyncio
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from app.demo.auth_server import AuthServer, AuthServerError
from app.main import create_app
from app.settings import Settings
from tests.support.postgres import Databases
from tests.support.server import Chat, serving

# What browsers would call the two servers; the issuer and the audience of tokens.
ORIGIN = "http://chat.example"
PASSWORD = "correct horse battery"  # noqa: S105 - nobody's


def auth_server_on(database_url: str, folder: Path, **changes: Any) -> AuthServer:
    """Return an auth server that is not started yet."""
    values: dict[str, Any] = {
        "public_url": ORIGIN,
        "secret": secrets.token_urlsafe(32),
        "log": folder / "log",
    }
    return AuthServer(database_url=database_url, **values | changes)


@asynccontextmanager
async def started(server: AuthServer) -> AsyncIterator[AuthServer]:
    """Run an auth server; its calls block."""
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


def chat_app(database_url: str, auth: AuthServer, **settings: Any) -> FastAPI:
    """Return a chat server that takes an auth server's tokens."""
    values = {
        "database_url": database_url,
        "chat_responder": "echo",
        "auth_jwks_url": auth.jwks_url,
        "auth_issuer": ORIGIN,
        "auth_audience": ORIGIN,
        "_env_file": None,
    }
    return create_app(Settings(**values | settings), auth_server=auth.url)


@dataclass
class Street:
    """The two servers, and browsers to visit them with."""

    url: str
    app: FastAPI
    auth: AuthServer
    log: Path
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self, origin: str = ORIGIN) -> httpx.AsyncClient:
        """Return somebody with cookies of their own, on a page of this origin."""
        client = httpx.AsyncClient(base_url=self.url, headers={"Origin": origin}, timeout=20)
        self._clients.append(client)
        return client

    def chat(self, token: str) -> Chat:
        """Return somebody who chats with a token, and has nothing else."""
        client = httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=20
        )
        self._clients.append(client)
        return Chat(client)

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def street_on(databases: Databases, folder: Path, **changes: Any) -> AsyncIterator[Street]:
    """Run an auth server and a chat server, each on a database of its own."""
    async with (
        databases.fresh() as chat_url,
        databases.fresh(empty=True) as auth_url,
        started(auth_server_on(auth_url, folder, **changes)) as auth,
    ):
        app = chat_app(chat_url, auth)
        async with serving(app) as url:
            street = Street(url, app, auth, folder / "log")
            try:
                yield street
            finally:
                await street.close()


@pytest_asyncio.fixture(scope="module")
async def street(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """Yield both servers, for all tests of this module that leave them running."""
    async with street_on(databases, tmp_path_factory.mktemp("auth")) as opened:
        yield opened


async def sign_up(browser: httpx.AsyncClient) -> str:
    """Make an account, be signed in to it, and return its e-mail address."""
    email = f"{secrets.token_hex(6)}@example.com"
    body = {"email": email, "password": PASSWORD, "name": "Somebody"}
    (await browser.post("/api/auth/sign-up/email", json=body)).raise_for_status()
    return email


async def sign_in(browser: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    """Try to sign in."""
    return await browser.post("/api/auth/sign-in/email", json={"email": email, "password": password})


async def token_of(browser: httpx.AsyncClient) -> str:
    """Return a token of whoever is signed in."""
    response = await browser.get("/api/auth/token")
    assert response.status_code == 200, response.text
    return str(response.json()["token"])


async def test_an_account_chats_and_finds_its_conversation_again(street: Street) -> None:
    browser = street.browser()
    email = await sign_up(browser)
    thread_id = await street.chat(await token_of(browser)).create("Hello")
    elsewhere = street.browser()
    assert (await sign_in(elsewhere, email)).status_code == 200
    again = street.chat(await token_of(elsewhere))
    assert [thread["id"] for thread in await again.threads()] == [thread_id]
    assert await again.texts(thread_id) == ["Hello", "Hello"]


async def test_another_account_sees_nothing_of_it(street: Street) -> None:
    mine, other = street.browser(), street.browser()
    await sign_up(mine)
    await sign_up(other)
    thread_id = await street.chat(await token_of(mine)).create("Only mine")
    stranger = street.chat(await token_of(other))
    assert await stranger.threads() == []
    assert (await stranger.post("threads.get_by_id", thread_id=thread_id)).status_code == 404


async def test_a_token_says_who_and_until_when_and_nothing_else(street: Street) -> None:
    browser = street.browser()
    await sign_up(browser)
    claims = jwt.decode(await token_of(browser), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp"}
    assert claims["iss"] == claims["aud"] == ORIGIN
    assert claims["exp"] - claims["iat"] == 900


async def test_without_an_account_there_is_no_token(street: Street) -> None:
    browser = street.browser()
    assert (await browser.get("/api/auth/token")).status_code == 401
    assert (await browser.get("/api/auth/get-session")).json() is None
    email = await sign_up(street.browser())
    assert (await sign_in(browser, email, "wrong horse")).status_code == 401
    assert (await browser.get("/api/auth/token")).status_code == 401


async def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(street: Street) -> None:
    browser = street.browser()
    email = await sign_up(browser)
    cookies = (await sign_in(browser, email)).headers.get_list("set-cookie")
    session = next(cookie for cookie in cookies if "session_token=" in cookie)
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(session.split("; "))
    # Several cookies stay several headers on their way through.
    assert len((await browser.post("/api/auth/sign-out", json={})).headers.get_list("set-cookie")) > 1


async def test_one_persons_session_never_reaches_the_next_through_the_proxy(street: Street) -> None:
    await sign_up(street.browser())
    assert (await street.browser().get("/api/auth/get-session")).json() is None


async def test_a_page_of_another_origin_cannot_sign_anybody_in(street: Street) -> None:
    email = await sign_up(street.browser())
    refused = await sign_in(street.browser("http://evil.example"), email)
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


def changed(token: str) -> str:
    """Return a token in the name of somebody else, under the old signature."""
    head, body, signature = token.split(".")
    claims = json.loads(urlsafe_b64decode(body + "=="))
    other = json.dumps(claims | {"sub": "somebody-else"}).encode()
    return ".".join([head, urlsafe_b64encode(other).rstrip(b"=").decode(), signature])


def unsigned(token: str) -> str:
    """Return the same claims without a signature."""
    return jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", algorithm="none")


def signed_by_another_key(token: str) -> str:
    """Return the same claims under a signature of somebody else's, who names the right key."""
    claims = jwt.decode(token, options={"verify_signature": False})
    key_id = jwt.get_unverified_header(token)["kid"]
    return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": key_id})


@pytest.mark.parametrize("forge", [changed, unsigned, signed_by_another_key])
async def test_a_forged_token_is_refused(street: Street, forge: Callable[[str], str]) -> None:
    browser = street.browser()
    await sign_up(browser)
    refused = await street.chat(forge(await token_of(browser))).post("threads.list")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("name", ["auth_audience", "auth_issuer"])
async def test_a_token_for_another_service_or_of_another_issuer_is_refused(
    street: Street, database_url: str, name: str
) -> None:
    browser = street.browser()
    await sign_up(browser)
    headers = {"Authorization": f"Bearer {await token_of(browser)}"}
    app = chat_app(database_url, street.auth, **{name: "http://other.example"})
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        assert (await Chat(client).post("threads.list")).status_code == 401


async def test_after_sign_out_there_are_no_new_tokens_and_the_last_one_expires(
    databases: Databases, tmp_path: Path
) -> None:
    async with street_on(databases, tmp_path, token_seconds=5) as street:
        street.app.state.services.identity._issuers._known[ORIGIN]._leeway = 0
        browser = street.browser()
        await sign_up(browser)
        token = await token_of(browser)
        expires = jwt.decode(token, options={"verify_signature": False})["exp"]
        chat = street.chat(token)
        thread_id = await chat.create("Hello")
        assert (await browser.post("/api/auth/sign-out", json={})).status_code == 200
        assert (await browser.get("/api/auth/token")).status_code == 401
        async with asyncio.timeout(30):
            while (await chat.post("items.list", thread_id=thread_id)).status_code == 200:
                await asyncio.sleep(0.1)
        refused = await chat.post("items.list", thread_id=thread_id)
        assert refused.status_code == 401
        assert time.time() >= expires, "it was refused before its time"


async def test_accounts_and_signed_in_people_survive_a_restart_of_the_auth_server(
    databases: Databases, tmp_path: Path
) -> None:
    secret = secrets.token_urlsafe(32)
    async with databases.fresh(empty=True) as url:
        async with (
            started(auth_server_on(url, tmp_path, secret=secret)) as auth,
            httpx.AsyncClient(base_url=auth.url, headers={"Origin": ORIGIN}) as browser,
        ):
            await sign_up(browser)
            old_token, cookies = await token_of(browser), browser.cookies
        async with (
            started(auth_server_on(url, tmp_path, secret=secret)) as auth,
            httpx.AsyncClient(base_url=auth.url, cookies=cookies) as browser,
        ):
            new_token = await token_of(browser)
            key_ids = {key["kid"] for key in (await browser.get("/api/auth/jwks")).json()["keys"]}
    assert {jwt.get_unverified_header(token)["kid"] for token in (old_token, new_token)} == key_ids


async def test_an_auth_server_that_is_away_is_said_so(databases: Databases, tmp_path: Path) -> None:
    async with street_on(databases, tmp_path) as street:
        await asyncio.to_thread(street.auth.stop)
        refused = await street.browser().get("/api/auth/get-session")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "unavailable"
        assert "sign-in server" in refused.json()["error"]["message"]


async def test_a_body_that_is_too_long_is_refused_by_both(street: Street) -> None:
    body = {"email": "a@example.com", "password": "x" * 70_000}
    through = await street.browser().post("/api/auth/sign-in/email", json=body)
    assert through.status_code == 413
    async with httpx.AsyncClient(base_url=street.auth.url) as client:
        assert (await client.post("/api/auth/sign-in/email", json=body)).status_code == 413
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/elsewhere")).status_code == 404


async def test_passwords_and_tokens_are_in_no_log_and_the_proxy_in_no_description(street: Street) -> None:
    browser = street.browser()
    email = await sign_up(browser)
    await sign_in(browser, email, "wrong " + PASSWORD)
    token = await token_of(browser)
    log = street.log.read_text()
    assert "listens on" in log
    assert not any(secret in log for secret in (PASSWORD, token, email))
    assert "/api/auth" not in (await browser.get("/openapi.json")).text


async def test_it_ends_with_the_process_that_started_it(databases: Databases, tmp_path: Path) -> None:
    async with databases.fresh(empty=True) as url, started(auth_server_on(url, tmp_path)) as auth:
        process = auth._process
        assert process is not None
        assert process.stdin is not None
        # As when that process is killed: the system closes what it had open.
        process.stdin.close()
        assert await asyncio.to_thread(process.wait, 15) == 0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"secret": "far too short"}, "AUTH_SECRET"),
        ({"public_url": "chat.example"}, "AUTH_URL"),
        ({"public_url": "http://chat.example/path"}, "AUTH_URL"),
        ({"trusted_origins": ["http://a.example", "b"]}, "AUTH_TRUSTED_ORIGINS"),
        ({"token_seconds": 0}, "AUTH_TOKEN_SECONDS"),
        ({"database_url": "mysql://localhost/auth"}, "DATABASE_URL"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    values = {"database_url": "postgresql://localhost/auth"} | changes
    with pytest.raises(AuthServerError, match=f"cannot start: {name}") as caught:
        auth_server_on(values.pop("database_url"), tmp_path, **values).start()
    assert "far too short" not in str(caught.value)


async def test_a_secret_that_does_not_open_the_stored_keys_stops_the_start(
    databases: Databases, tmp_path: Path
) -> None:
    async with databases.fresh(empty=True) as url:
        async with started(auth_server_on(url, tmp_path)):
            pass
        with pytest.raises(AuthServerError, match="AUTH_SECRET is not the one"):
            await asyncio.to_thread(auth_server_on(url, tmp_path).start)


def test_without_node_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AuthServerError, match=r"Install Node\.js"):
        auth_server_on("postgresql://localhost/auth", tmp_path).start()
