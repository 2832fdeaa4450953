"""Encryption on the way to a real server: what each sslmode gives, and how a refusal reads."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import create_engine
from app.database.urls import parse_database_url
from app.doctor import Level
from app.doctor.addresses import encryption
from app.doctor.connecting import NotConnected, connect
from tests.support.system_postgres import IN_URL, needs_ipv6, system_postgres
from tests.support.tls import Authority

_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_RULES = (
    # A user who may come over TLS only, and one who needs a certificate.
    "hostnossl all shy all reject",
    "hostssl all known all scram-sha-256 clientcert=verify-ca",
)


@dataclass
class Server:
    """A server with a certificate for 127.0.0.1, and who is to be trusted, or not."""

    port: int
    authority: Authority
    stranger: Authority

    def url(self, query: str, *, host: str = "127.0.0.1", user: str = "chatkit") -> str:
        """Return a URL; in the query, {root} is the server's authority and {stranger} another one."""
        roots = {"root": self.authority.root, "stranger": self.stranger.root}
        return f"postgres://{user}:{IN_URL}@{host}:{self.port}/chatkit?{query.format(**roots)}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    with system_postgres(folder, *_RULES, **_with(authority, "127.0.0.1")) as port:
        yield Server(port, authority, stranger)


def _with(authority: Authority, name: str, age: datetime.timedelta = datetime.timedelta()) -> dict[str, str]:
    certificate, key = authority.issue(name, age=age)
    return {
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(key),
        "ssl_ca_file": str(authority.root),
    }


async def is_encrypted(url: str) -> bool:
    """Ask the server, by way of the engine that serves; and see that the doctor says the same."""
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            encrypted = bool(await connection.scalar(text(_TLS)))
    finally:
        await engine.dispose()
    session = await connect(parse_database_url(url))
    assert (session.encryption is not None) == encrypted
    await session.close()
    return encrypted


async def refusal_of(url: str) -> str:
    """Return in what words the doctor says why there is no connection."""
    with pytest.raises(NotConnected) as refused:
        await connect(parse_database_url(url))
    assert refused.value.__context__ is None
    assert "S3cret" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("query", "encrypted"),
    [
        ("", True),
        ("sslmode=disable", False),
        ("sslmode=allow", False),
        ("sslmode=prefer", True),
        ("sslmode=require", True),
        ("channel_binding=require&sslmode=require", True),
        ("channel_binding=require", True),
        ("sslmode=require&sslrootcert={root}", True),
        ("sslmode=verify-ca&sslrootcert={root}", True),
        ("sslmode=verify-full&sslrootcert={root}", True),
    ],
)
async def test_what_each_mode_gives(server: Server, query: str, encrypted: bool) -> None:
    assert await is_encrypted(server.url(query)) is encrypted


@pytest.mark.parametrize(
    ("query", "host", "words"),
    [
        ("sslmode=verify-full&sslrootcert={stranger}", "127.0.0.1", "sslrootcert trusts"),
        ("sslmode=verify-ca&sslrootcert={stranger}", "127.0.0.1", "sslrootcert trusts"),
        ("sslmode=require&sslrootcert={stranger}", "127.0.0.1", "sslrootcert trusts"),
        ("sslmode=verify-full", "127.0.0.1", "sslrootcert trusts"),
        ("sslmode=verify-ca", "127.0.0.1", "sslrootcert trusts"),
        ("sslrootcert=system", "127.0.0.1", "sslrootcert trusts"),
        ("sslmode=verify-full&sslrootcert={root}", "localhost", "another host name"),
        pytest.param(
            "sslmode=verify-full&sslrootcert={root}", "[::1]", "another host name", marks=needs_ipv6
        ),
    ],
)
async def test_a_server_that_cannot_show_who_it_is_is_not_talked_to(
    server: Server, query: str, host: str, words: str
) -> None:
    assert words in await refusal_of(server.url(query, host=host))


async def test_verify_ca_does_not_ask_for_the_name(server: Server) -> None:
    assert await is_encrypted(server.url("sslmode=verify-ca&sslrootcert={root}", host="localhost"))


@pytest.mark.parametrize(
    ("query", "level"),
    [("sslmode=require", Level.NOTE), ("sslmode=verify-full&sslrootcert={root}", Level.OK)],
)
async def test_encrypted_to_whom_is_worth_a_note(server: Server, query: str, level: Level) -> None:
    session = await connect(parse_database_url(server.url(query)))
    assert encryption(session).level is Level.OK
    elsewhere = replace(session.url, url=session.url.url.set(host="db.example.com"))
    assert encryption(replace(session, url=elsewhere)).level is level
    await session.close()


async def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with system_postgres(tmp_path, **_with(authority, "127.0.0.1", datetime.timedelta(days=3))) as port:
        old = Server(port, authority, authority)
        assert "has expired" in await refusal_of(old.url("sslmode=verify-full&sslrootcert={root}"))
        assert await is_encrypted(old.url("sslmode=require"))


async def test_a_server_that_insists_on_tls(server: Server) -> None:
    assert "asks for TLS" in await refusal_of(server.url("sslmode=disable", user="shy"))
    engine = create_engine(server.url(""))
    async with engine.connect() as connection:
        await connection.execute(text("CREATE USER shy PASSWORD 'S3cret@of:the/test'"))
    await engine.dispose()
    # allow tries without first.
    for mode in ("allow", "prefer", "require"):
        assert await is_encrypted(server.url(f"sslmode={mode}", user="shy"))


async def test_a_server_that_asks_for_a_certificate_of_ours(server: Server) -> None:
    engine = create_engine(server.url(""))
    async with engine.connect() as connection:
        await connection.execute(text("CREATE USER known PASSWORD 'S3cret@of:the/test'"))
    await engine.dispose()
    certificate, key = server.authority.issue("known", locked_by="S3cret")
    ours = f"sslcert={certificate}&sslkey={key}&sslpassword=S3cret"
    assert await is_encrypted(server.url(f"sslmode=require&{ours}", user="known"))
    assert await is_encrypted(server.url(f"sslmode=verify-full&sslrootcert={{root}}&{ours}", user="known"))
    assert "certificate" in await refusal_of(server.url("sslmode=require", user="known"))


async def test_a_server_without_tls(database_url: str) -> None:
    for query in ("", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer"):
        assert not await is_encrypted(database_url + query)
    for query in ("sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "channel_binding=require"):
        assert "offers no TLS" in await refusal_of(f"{database_url}?{query}")
