"""What a database URL says arrives at a real server: places, options, passwords."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import create_engine
from app.database.urls import parse_database_url
from tests.support.system_postgres import IN_URL, needs_ipv6, system_postgres


@pytest.fixture(scope="module")
def folder_and_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("places")
    with system_postgres(folder) as port:
        yield folder, port


async def ask(url: str, sql: str) -> object:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(sql))
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("place", "query", "address"),
    [
        ("127.0.0.1:{port}", "", "127.0.0.1/32"),
        pytest.param("[::1]:{port}", "", "::1/128", marks=needs_ipv6),
        pytest.param("", "?host=::1&port={port}", "::1/128", marks=needs_ipv6),
        ("", "?host={folder}&port={port}", None),
        ("{encoded_folder}:{port}", "", None),
    ],
)
async def test_every_kind_of_place_is_found(
    folder_and_port: tuple[Path, int], place: str, query: str, address: str | None
) -> None:
    folder, port = folder_and_port
    names = {"folder": folder, "encoded_folder": str(folder).replace("/", "%2F"), "port": port}
    url = f"postgres://chatkit:{IN_URL}@{place}/chatkit{query}".format(**names)
    assert await ask(url, "SELECT inet_server_addr()::text") == address


async def test_all_parts_may_be_parameters(folder_and_port: tuple[Path, int]) -> None:
    where = f"host=127.0.0.1&port={folder_and_port[1]}&dbname=chatkit"
    url = f"postgresql://?user=chatkit&password={IN_URL}&{where}"
    assert await ask(url, "SELECT current_user") == "chatkit"


async def test_the_default_database_is_that_of_the_user(folder_and_port: tuple[Path, int]) -> None:
    url = f"postgresql://chatkit:{IN_URL}@127.0.0.1:{folder_and_port[1]}"
    assert await ask(url, "SELECT current_database()") == "chatkit"


async def test_options_and_the_application_s_name_reach_the_server(database_url: str) -> None:
    url = (
        f"{database_url}?options=-c%20statement_timeout%3D4321%20-c+work_mem%3D77kB&application_name=me%20too"
    )
    assert await ask(url, "SHOW statement_timeout") == "4321ms"
    assert await ask(url, "SHOW work_mem") == "77kB"
    assert await ask(url, "SHOW application_name") == "me too"
    # What Neon's proxy reads, and takes away, is refused by a server without one: so it was sent.
    with pytest.raises(Exception, match="endpoint"):
        await ask(f"{database_url}?options=endpoint%3Dep-cool-name", "SELECT 1")


async def test_a_server_that_only_reads_is_not_taken_where_the_url_says_so(database_url: str) -> None:
    url = f"{database_url}?options=-c%20default_transaction_read_only%3Don"
    assert await ask(url, "SHOW transaction_read_only") == "on"
    with pytest.raises(Exception, match="target attribute"):
        await ask(f"{url}&target_session_attrs=read-write", "SELECT 1")
    assert await ask(f"{database_url}?target_session_attrs=read-write", "SELECT 1") == 1


def test_what_is_shown_of_the_connection_holds_no_password() -> None:
    assert "S3cret" not in repr(create_engine(f"postgres://chatkit:{IN_URL}@[::1]/d"))
    assert "S3cret" not in repr(parse_database_url(f"postgres://chatkit:{IN_URL}@[::1]/d"))
