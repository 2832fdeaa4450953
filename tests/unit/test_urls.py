"""Database URLs as people paste them."""

import ssl
from pathlib import Path

import pytest

from app.database import create_engine
from app.database.urls import parse_database_url
from app.errors import InvalidUrl

NEON = (
    "postgresql://neondb_owner:npg_S3cret@ep-cool-name-a1b2c3{pooler}.eu-central-1.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require"
)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_means_asyncpg(scheme: str) -> None:
    parsed = parse_database_url(f" {scheme}://u:p%40ss@host:6543/db\n")
    assert parsed.url.drivername == "postgresql+asyncpg"
    assert (parsed.url.username, parsed.url.password, parsed.url.host) == ("u", "p@ss", "host")
    assert (parsed.url.port, parsed.url.database) == (6543, "db")


def test_what_neon_s_console_copies() -> None:
    parsed = parse_database_url(NEON.format(pooler=""))
    assert parsed.connect_args["ssl"] == "require"
    assert not parsed.url.query
    assert not parsed.pooled
    assert "statement_cache_size" not in parsed.connect_args


def test_a_pooled_host_keeps_no_prepared_statements() -> None:
    parsed = parse_database_url(NEON.format(pooler="-pooler"))
    assert parsed.pooled
    assert parsed.connect_args["statement_cache_size"] == 0
    assert parsed.connect_args["prepared_statement_cache_size"] == 0


def test_parameters_become_what_asyncpg_knows() -> None:
    parsed = parse_database_url(
        "postgresql://u@[::1]:5433/db?connect_timeout=3&application_name=mine&options=endpoint%3Dep-x"
    )
    assert parsed.url.host == "::1"
    assert parsed.connect_args["timeout"] == 3.0
    assert parsed.connect_args["server_settings"] == {"application_name": "mine", "options": "endpoint=ep-x"}


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_unverified_ssl_modes_are_asyncpg_s(mode: str) -> None:
    assert parse_database_url(f"postgres://u@h/d?sslmode={mode}").connect_args["ssl"] == mode


@pytest.mark.parametrize(("mode", "check"), [("verify-ca", False), ("verify-full", True)])
def test_verifying_ssl_modes_check_the_certificate(mode: str, check: bool) -> None:
    context = parse_database_url(f"postgres://u@h/d?sslmode={mode}&sslrootcert=system").connect_args["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is check


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "cannot be read"),
        ("host/db", "cannot be read"),
        ("mysql://u:S3cret@h/d", "mysql"),
        ("postgres://u:S3cret@h:x/d", "cannot be read"),
        ("postgres://u:S3cret@h1,h2/d", "several hosts"),
        ("postgres://u:S3cret@h/d?sslmode=maybe", "sslmode"),
        ("postgres://u:S3cret@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgres://u:S3cret@h/d?pool_size=7", "pool_size"),
        ("postgres://u:S3cret@h/d?sslmode=a&sslmode=b", "sslmode"),
        ("postgres://u:S3cret@h/d?sslmode=verify-full&sslrootcert=/no/such/file", "sslrootcert"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_its_part(url: str, word: str) -> None:
    with pytest.raises(InvalidUrl, match=word) as refusal:
        parse_database_url(url)
    assert "S3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_no_password_is_shown(tmp_path: Path) -> None:
    url = NEON.format(pooler="")
    assert "S3cret" not in repr(parse_database_url(url))
    assert "S3cret" not in repr(create_engine(url))
