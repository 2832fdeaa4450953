"""Database URLs as people paste them."""

import os
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.database import create_engine
from app.database.urls import DatabaseUrl, parse_database_url
from app.errors import InvalidUrl
from tests.support.tls import Authority

NEON = (
    "postgresql://neondb_owner:npg_S3cret@ep-cool-name-a1b2c3{pooler}.eu-central-1.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require"
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PG"):
            monkeypatch.delenv(name)


def refusal_of(text: str) -> InvalidUrl:
    with pytest.raises(InvalidUrl) as refusal:
        parse_database_url(text)
    return refusal.value


def parts_of(parsed: DatabaseUrl) -> tuple[object, ...]:
    url = parsed.url
    return (url.username, url.password, url.host, url.port, url.database)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "POSTGRESQL"])
def test_every_scheme_means_asyncpg(scheme: str) -> None:
    parsed = parse_database_url(f"{scheme}://u:p%40ss@host:6543/db")
    assert parsed.url.drivername == "postgresql+asyncpg"
    assert parts_of(parsed) == ("u", "p@ss", "host", 6543, "db")


@pytest.mark.parametrize(
    "copied",
    [" {}\n", "'{}'", '"{}"', "psql '{}'", "psql {}", "psql  '{}' \n"],
    ids=repr,
)
def test_what_comes_along_when_copying_is_left_out(copied: str) -> None:
    text = NEON.format(pooler="")
    assert parse_database_url(copied.format(text)) == parse_database_url(text)


def test_what_neon_s_console_copies() -> None:
    parsed = parse_database_url(NEON.format(pooler=""))
    assert parsed.connect_args["ssl"] == "require"
    assert not parsed.url.query
    assert (parsed.pooled, parsed.is_neons_direct_host) == (False, True)
    pooled = parse_database_url(NEON.format(pooler="-pooler"))
    assert (pooled.pooled, pooled.is_neons_direct_host) == (True, False)


@given(user=NAMES, password=NAMES, database=NAMES)
@example(**dict.fromkeys(("user", "password", "database"), "@:/?#%"))
@example(**dict.fromkeys(("user", "password", "database"), "%40 a+b"))
def test_any_user_password_and_database_arrive_as_they_are(user: str, password: str, database: str) -> None:
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    expected = (user, password, "host", 5433, database)
    name = quote(database, safe="")
    assert parts_of(parse_database_url(f"postgres://{who}@host:5433/{name}")) == expected
    in_query = f"user={quote(user, safe='')}&password={quote(password, safe='')}&dbname={name}"
    assert parts_of(parse_database_url(f"postgres://host:5433?{in_query}")) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("postgres://host", (None, None, "host", None, None)),
        ("postgres://u@host:/", ("u", None, "host", None, None)),
        ("postgres://u:@host/d", ("u", None, "host", None, "d")),
        ("postgres://", (None, None, None, None, None)),
        ("postgres://u@[::1]:5433/d", ("u", None, "::1", 5433, "d")),
        ("postgres://u@[fe80::1%25eth0]/d", ("u", None, "fe80::1%eth0", None, "d")),
        ("postgres://u@/d?host=/var/run/postgresql", ("u", None, "/var/run/postgresql", None, "d")),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", ("u", None, "/var/run/postgresql", None, "d")),
        ("postgres:///d?host=h&port=5433&user=u", ("u", None, "h", 5433, "d")),
    ],
)
def test_who_where_and_what(text: str, parts: tuple[object, ...]) -> None:
    """What is not said is left to the driver, which does as libpq: environment, then defaults."""
    assert parts_of(parse_database_url(text)) == parts


def test_parameters_become_what_asyncpg_knows() -> None:
    parsed = parse_database_url(
        "postgresql://u@h/db?connect_timeout=3&application_name=mine&options=endpoint%3Dep-x%20-c%20a%3Db"
        "&target_session_attrs=read-write"
    )
    assert parsed.connect_args["timeout"] == 3.0
    assert parsed.connect_args["target_session_attrs"] == "read-write"
    assert parsed.connect_args["server_settings"] == {
        "application_name": "mine",
        "options": "endpoint=ep-x -c a=b",
    }
    assert parse_database_url("postgres://h?options=-c+a%3Db%2B").connect_args["server_settings"] == {
        "application_name": "chatkit-neon",
        "options": "-c a=b+",
    }


@pytest.mark.parametrize("timeout", ["0", "-1", ""])
def test_to_wait_for_ever_is_to_wait_as_long_as_this_server_does(timeout: str) -> None:
    assert parse_database_url(f"postgres://h?connect_timeout={timeout}").connect_args["timeout"] == 10.0


def test_what_libpq_knows_and_makes_no_difference_here_is_accepted() -> None:
    plain = parse_database_url("postgres://u@h/d")
    tuned = parse_database_url(
        "postgres://u@h/d?keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=5"
        "&tcp_user_timeout=1000&gssencmode=disable&client_encoding=UTF8&sslsni=1&sslcompression=0"
        "&load_balance_hosts=disable&fallback_application_name=chatkit-neon"
    )
    assert tuned == plain


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_unverified_ssl_modes_are_asyncpg_s(mode: str) -> None:
    parsed = parse_database_url(f"postgres://u@h/d?sslmode={mode}")
    assert (parsed.connect_args["ssl"], parsed.sslmode) == (mode, mode)


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", "prefer"),
        ("ssl=true", "require"),
        ("channel_binding=require", "require"),
        ("channel_binding=require&sslmode=prefer", "require"),
        ("channel_binding=prefer", "prefer"),
        ("channel_binding=disable", "prefer"),
        ("sslrootcert=system", "verify-full"),
    ],
)
def test_the_ssl_mode_that_is_meant(query: str, mode: str) -> None:
    assert parse_database_url(f"postgres://u@h/d?{query}").sslmode == mode


def test_the_ssl_mode_of_the_environment_counts_where_the_url_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert parse_database_url("postgres://u@h/d").sslmode == "verify-full"
    assert parse_database_url("postgres://u@h/d?sslmode=disable").sslmode == "disable"


@pytest.mark.parametrize(
    ("query", "host_is_checked"),
    [
        ("sslmode=verify-full&sslrootcert={root}", True),
        ("sslmode=verify-ca&sslrootcert={root}", False),
        ("sslmode=require&sslrootcert={root}", False),
        # Anybody can have a certificate of one of these authorities.
        ("sslmode=verify-full", True),
        ("sslmode=verify-ca", True),
        ("sslmode=verify-ca&sslrootcert=system", True),
        ("sslmode=require&sslrootcert=system", True),
    ],
)
def test_certificates_are_verified_where_the_url_says_so(
    query: str, host_is_checked: bool, tmp_path: Path
) -> None:
    root = Authority(tmp_path).root
    parsed = parse_database_url(f"postgres://u@h/d?{query.format(root=root)}")
    context = parsed.connect_args["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is host_is_checked
    assert parsed.sslmode.startswith("verify")


def test_a_certificate_of_one_s_own_needs_its_password(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("client", locked_by="S3cret")
    own = f"postgres://u@h/d?sslmode=require&sslcert={certificate}&sslkey={key}"
    context = parse_database_url(f"{own}&sslpassword=S3cret").connect_args["ssl"]
    assert context.verify_mode is ssl.CERT_NONE
    for wrong in ("", "&sslpassword=S3cretly", f"&sslpassword={'S3cret' * 1000}"):
        refusal = refusal_of(own + wrong)
        assert "sslcert" in str(refusal)
        assert "S3cret" not in repr(refusal)
        assert refusal.__context__ is None


def test_tls_from_the_first_byte() -> None:
    arguments = parse_database_url("postgres://u@h/d?sslmode=require&sslnegotiation=direct").connect_args
    assert (arguments["ssl"], arguments["direct_tls"]) == ("require", True)
    assert "direct_tls" not in parse_database_url("postgres://h?sslnegotiation=postgres").connect_args


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "cannot be read"),
        ("host/db", "cannot be read"),
        ("host=h user=u password=S3cret", "a space"),
        ("mysql://u:S3cret@h/d", "mysql"),
        ("postgres://u:S3cret@h:x/d", "port"),
        ("postgres://u:S3cret@h:0/d", "port"),
        ("postgres://u:S3cret@h:65536/d", "port"),
        ("postgres://u:S3cret@h:\u0665/d", "port"),
        ("postgres://u:S3cret", "port"),
        ("postgres://u:S3cret@::1/d", r"\[::1\]"),
        ("postgres://u:S3cret@[::1/d", r"\[::1\]"),
        ("postgres://u:S3cret@h1,h2/d", "several hosts"),
        ("postgres://u:S3cret@h1:5432,h2:5432/d", "several hosts"),
        ("postgres://u:S3cret@/d?host=h1,h2", "several hosts"),
        ("postgres://u:S3cret@h/\nd", "line break"),
        ("postgres://u:S3cret@h/d%00", "%-codes"),
        ("postgres://u:S3cret%FF@h/d", "%-codes"),
        ("postgres://u:S3cret@h/d?host=h2", "'host' more than once"),
        ("postgres://u:S3cret@h/d?password=S3cret", "'password' more than once"),
        ("postgres://u:S3cret@h/d?sslmode=maybe", "sslmode"),
        ("postgres://u:S3cret@h/d?sslmode=", "sslmode"),
        ("postgres://u:S3cret@h/d?sslmode", "'sslmode' without a value"),
        ("postgres://u:S3cret@h/d?ssl=yes", "ssl"),
        ("postgres://u:S3cret@h/d?channel_binding=maybe", "channel_binding"),
        ("postgres://u:S3cret@h/d?channel_binding=require&sslmode=disable", "channel_binding"),
        (
            "postgres://u:S3cret@h/d?sslnegotiation=direct",
            "sslnegotiation=direct, which needs sslmode=require",
        ),
        ("postgres://u:S3cret@h/d?sslnegotiation=none&sslmode=require", "sslnegotiation"),
        ("postgres://u:S3cret@h/d?sslrootcert=x&sslmode=prefer", "sslrootcert, which needs sslmode=require"),
        ("postgres://u:S3cret@h/d?sslcert=x", "sslcert, which needs sslmode=require"),
        ("postgres://u:S3cret@h/d?sslkey=x&sslmode=require", "no sslcert"),
        ("postgres://u:S3cret@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgres://u:S3cret@h/d?connect_timeout=-", "connect_timeout"),
        ("postgres://u:S3cret@h/d?target_session_attrs=standby", "target_session_attrs"),
        ("postgres://u:S3cret@h/d?gssencmode=require", "gssencmode"),
        ("postgres://u:S3cret@h/d?client_encoding=LATIN1", "client_encoding"),
        ("postgres://u:S3cret@h/d?service=x", "service"),
        ("postgres://u:S3cret@h/d?hostaddr=127.0.0.1", "hostaddr"),
        ("postgres://u:S3cret@h/d?sslcrl=x", "sslcrl"),
        ("postgres://u:S3cret@h/d?pool_size=7", "pool_size"),
        ("postgres://u:S3cret@h/d?pgbouncer=true", "pgbouncer"),
        ("postgres://u:S3cret@h/d?sslmode=a&sslmode=b", "sslmode"),
        ("postgres://u:S3cret@h/d?sslmode=verify-full&sslrootcert=/no/such/file", "sslrootcert.*no such"),
        (f"postgres://u:S3cret@h/d?sslmode=verify-full&sslrootcert={__file__}", "sslrootcert.*not a usable"),
        # A password that is not encoded must not be taken apart, and its parts named.
        ("postgres://u:p@S3cret@h/d", "%40"),
        ("postgres://u:p@S3cret/x@h/d", "%40"),
        ("postgres://u:p@x?S3cret@h/d", "%40"),
        ("postgres://u:p@x?S3cret=1@h/d", "%40"),
        ("postgres://u:p/S3cret@h/d", "%40"),
        ("postgres://u:p?S3cret@h/d", "%40"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_its_part(url: str, word: str) -> None:
    with pytest.raises(InvalidUrl, match=word) as refusal:
        parse_database_url(url)
    assert "S3cret" not in str(refusal.value)
    assert refusal.value.__context__ is None


@given(before=st.text(alphabet="@:/?#%&=[],ab '\n"), after=st.text(alphabet="@:/?#%&=[],ab '\n"))
def test_no_password_is_shown_however_it_is_written(before: str, after: str) -> None:
    """Not encoded, it may still be read as one, or be refused; it never becomes something that is shown."""
    text = f"postgresql://u:{before}S3cret{after}@host/db?sslmode=require"
    try:
        parsed = parse_database_url(text)
    except InvalidUrl as refusal:
        shown = f"{refusal!r} {refusal.__context__!r}"
    else:
        shown = f"{parsed!r} {parsed} {parsed.url}"
        assert "S3cret" in str(parsed.url.password)
    assert "S3cret" not in shown


def test_no_password_is_shown(tmp_path: Path) -> None:
    url = NEON.format(pooler="")
    assert "S3cret" not in repr(parse_database_url(url))
    assert "S3cret" not in repr(create_engine(url))
