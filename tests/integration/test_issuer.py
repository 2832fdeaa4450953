"""Tokens of an issuer whose keys are fetched: every good kind in, every forged kind out, outages survived."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import IssuerUnavailable
from app.identity.jwks import PublishedKeys
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.postgres import Databases
from tests.support.server import House, house


def settings_for(url: str) -> dict[str, Any]:
    return {"auth_jwks_url": url, "auth_issuer": ISSUER, "auth_audience": AUDIENCE}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    made.add_key()
    yield made


@pytest_asyncio.fixture(scope="module")
async def issued_house(databases: Databases) -> AsyncIterator[tuple[House, Issuer]]:
    issuer = Issuer()
    for algorithm in ("EdDSA", "ES256", "RS256"):
        issuer.add_key(algorithm)
    async with databases.fresh() as url, issuer.serving() as keys, house(url, **settings_for(keys)) as opened:
        yield opened, issuer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("key_id", ["key-1", "key-2", "key-3"])
async def test_each_kind_of_key_signs_in(issued_house: tuple[House, Issuer], key_id: str) -> None:
    opened, issuer = issued_house
    user = opened.client(bearer(issuer.mint(f"user of {key_id}", key_id)))
    thread_id = await user.create("Hello")
    assert [thread["id"] for thread in await user.threads()] == [thread_id]


def unsigned(issuer: Issuer, header: dict[str, object]) -> str:
    """Return a good token's claims under another header, without a signature that fits."""
    _, claims, signature = issuer.mint("eve", "key-1").split(".")
    return (
        f"{base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b'=').decode()}.{claims}.{signature}"
    )


def signed_with_the_public_key(issuer: Issuer) -> str:
    """Return the classic: the public key, which everybody knows, used as an HMAC secret."""
    public = issuer.private["key-1"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": now + 600}
    return jwt.encode(claims, public.ljust(32, b"\0"), algorithm="HS256", headers={"kid": "key-1"})


def by_another_key(issuer: Issuer) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": now + 600}
    return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "key-1"})


FORGED: dict[str, Callable[[Issuer], str]] = {
    "no signature": lambda issuer: issuer.mint("eve", "key-1").rpartition(".")[0] + ".",
    "algorithm none": lambda issuer: unsigned(issuer, {"alg": "none", "kid": "key-1"}),
    "HMAC with the public key": signed_with_the_public_key,
    "another key under a known id": by_another_key,
    "an algorithm that is not the key's": lambda issuer: unsigned(issuer, {"alg": "ES256", "kid": "key-1"}),
    "a key that only the token brings": lambda issuer: unsigned(
        issuer, {"alg": "EdDSA", "kid": "key-1", "jwk": issuer.published[0], "jku": "http://127.0.0.1:9/"}
    ),
    "unknown key id": lambda issuer: unsigned(issuer, {"alg": "EdDSA", "kid": "key-99"}),
    "key id that is no text": lambda issuer: unsigned(issuer, {"alg": "EdDSA", "kid": 7}),
    "no key id among several keys": lambda issuer: unsigned(issuer, {"alg": "EdDSA"}),
    "unknown critical header": lambda issuer: unsigned(
        issuer, {"alg": "EdDSA", "kid": "key-1", "crit": ["exp"], "exp": 1}
    ),
    "expired": lambda issuer: issuer.mint("eve", exp=int(time.time()) - 3600),
    "not valid yet": lambda issuer: issuer.mint("eve", nbf=int(time.time()) + 3600),
    "issued in the future": lambda issuer: issuer.mint("eve", iat=int(time.time()) + 3600),
    "another issuer": lambda issuer: issuer.mint("eve", iss="https://evil.example"),
    "several issuers": lambda issuer: issuer.mint("eve", iss=[ISSUER]),
    "another audience": lambda issuer: issuer.mint("eve", aud="mail"),
    "no issuer": lambda issuer: issuer.mint("eve", iss=None),
    "no audience": lambda issuer: issuer.mint("eve", aud=None),
    "no expiry": lambda issuer: issuer.mint("eve", exp=None),
    "no subject": lambda issuer: issuer.mint("eve", sub=None),
    "empty subject": lambda issuer: issuer.mint(""),
    "a visitor's id as subject": lambda issuer: issuer.mint("visitor:AAAAAAAAAAAAAAAAAAAAAA"),
    "other claims under the signature": lambda issuer: ".".join(
        [issuer.mint("bob", "key-1").rpartition(".")[0], issuer.mint("eve", "key-1").rpartition(".")[2]]
    ),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("anonymous", ["memory", "persist"])
async def test_a_forged_token_is_401_and_nobody_else(
    issued_house: tuple[House, Issuer],
    forge: Callable[[Issuer], str],
    anonymous: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, issuer = issued_house
    monkeypatch.setattr(opened.app.state.services.identity, "_anonymous", anonymous)
    response = await opened.client(bearer(forge(issuer))).http.get("/chat/threads")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in response.headers
    assert "x-visitor-id" not in response.headers


async def test_a_new_key_is_found_by_its_id_and_not_asked_for_all_the_time(issuer: Issuer) -> None:
    async with issuer.serving() as url:
        clock = Clock()
        keys = PublishedKeys(url, clock=clock)
        assert (await keys.key_for(issuer.mint("alice"))).key_id == "key-1"
        for _ in range(20):
            with pytest.raises(jwt.PyJWTError):
                await keys.key_for(unsigned(issuer, {"alg": "EdDSA", "kid": "made up"}))
        assert issuer.requests == 1
        issuer.add_key()
        clock.now += 11
        assert (await keys.key_for(issuer.mint("alice"))).key_id == "key-2"
        assert issuer.requests == 2
        await keys.aclose()


async def test_a_withdrawn_key_is_not_taken_for_long(issuer: Issuer) -> None:
    async with issuer.serving() as url:
        clock = Clock()
        keys = PublishedKeys(url, clock=clock)
        token = issuer.mint("alice")
        await keys.key_for(token)
        issuer.published.clear()
        issuer.add_key()
        await keys.key_for(token)
        clock.now += 601
        # The first one after that has the keys fetched, and does not wait for it.
        await keys.key_for(token)
        assert keys._fetching is not None
        await keys._fetching
        with pytest.raises(jwt.PyJWTError):
            await keys.key_for(token)
        await keys.aclose()


ANSWERS = [
    (500, b""),
    (302, b""),
    (200, b"not JSON"),
    (200, b'{"keys": 7}'),
    (200, b"[]"),
    (200, b'{"keys": []}'),
    (200, b"[" * 100_000),
]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_outage_of_the_issuer_is_survived_on_known_keys(
    issuer: Issuer, answer: tuple[int, bytes]
) -> None:
    async with issuer.serving() as url:
        clock = Clock()
        keys = PublishedKeys(url, clock=clock)
        token = issuer.mint("alice")
        await keys.key_for(token)
        issuer.answer = answer
        clock.now += 3600
        assert (await keys.key_for(token)).key_id == "key-1"
        with pytest.raises(IssuerUnavailable):
            await keys.key_for(unsigned(issuer, {"alg": "EdDSA", "kid": "new"}))
        clock.now += 24 * 3600
        with pytest.raises(IssuerUnavailable):
            await keys.key_for(token)
        issuer.answer = None
        clock.now += 11
        assert (await keys.key_for(token)).key_id == "key-1"
        await keys.aclose()


async def test_nobody_whose_key_is_known_waits_for_an_issuer_that_is_silent(issuer: Issuer) -> None:
    async with issuer.serving() as url:
        clock = Clock()
        keys = PublishedKeys(url, clock=clock)
        token = issuer.mint("alice")
        await keys.key_for(token)
        issuer.silent = asyncio.Event()
        clock.now += 3600
        for _ in range(20):
            assert (await keys.key_for(token)).key_id == "key-1"
        # The one fetch that these began is still waiting.
        assert keys._fetching is not None
        assert not keys._fetching.done()
        issuer.silent.set()
        await keys.aclose()


async def test_keys_may_have_no_ids_and_share_one_between_algorithms(issuer: Issuer) -> None:
    issuer.add_key("ES256", kid="key-1")
    issuer.add_key("RS256", kid=None)
    async with issuer.serving() as url:
        keys = PublishedKeys(url)
        for name, algorithm in (("key-1", "EdDSA"), ("key-2", "ES256"), ("key-3", "RS256")):
            token = issuer.mint("alice", name, header={"kid": "key-1" if name != "key-3" else "anything"})
            assert (await keys.key_for(token)).algorithm_name == algorithm
        issuer.published.append({"kty": "OKP", "kid": ["a list"], "crv": "Ed25519", "x": "AAAA"})
        await keys.aclose()
        again = PublishedKeys(url)
        assert (await again.key_for(issuer.mint("alice", "key-1"))).algorithm_name == "EdDSA"
        await again.aclose()


async def test_an_issuer_that_was_never_reached_is_503_and_not_a_refusal(
    issuer: Issuer, database_url: str
) -> None:
    async with issuer.serving() as url:
        pass  # The address is good, and nobody listens any more.
    async with house(database_url, **settings_for(url)) as opened:
        response = await opened.client(bearer(issuer.mint("alice"))).http.get("/chat/threads")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        forged = await opened.client(bearer(unsigned(issuer, {"alg": "none"}))).http.get("/chat/threads")
        assert forged.status_code == 401


async def test_keys_that_are_not_for_signatures_are_not_used(issuer: Issuer) -> None:
    symmetric = unsigned(issuer, {"alg": "EdDSA", "kid": "key-1"})
    issuer.published = [
        {"kty": "oct", "kid": "key-1", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "alg": "HS256"},
        {"kty": "nonsense", "kid": "key-2"},
    ]
    other = issuer.add_key("EdDSA")
    async with issuer.serving() as url:
        keys = PublishedKeys(url)
        with pytest.raises(jwt.PyJWTError):
            await keys.key_for(symmetric)
        assert (await keys.key_for(issuer.mint("alice", other))).key_id == other
        await keys.aclose()


async def test_many_requests_with_a_cold_cache_fetch_once(issuer: Issuer, database_url: str) -> None:
    async with issuer.serving() as url, house(database_url, **settings_for(url)) as opened:
        users = [opened.client(bearer(issuer.mint(f"user {n}"))) for n in range(10)]
        await asyncio.gather(*(user.http.get("/chat/threads") for user in users))
        assert issuer.requests == 1
