"""The demo's accounts: an auth server with its database on the demo's PostgreSQL."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from app.demo.auth_packages import auth_server_folder
from app.demo.auth_server import AuthServer

_DATABASE = "auth"


def accounts_server(
    data: Path, *, postgres_url: str, host: str, port: int, tell: Callable[[str], None]
) -> AuthServer:
    """Return an auth server, not started yet, for a demo that people reach at this host and port.

    What it keeps for good is a database beside the demo's own and a secret in the folder `data`. `tell`
    hears of what takes long. Raises AuthServerError when Node.js or packages are missing.
    """
    folder = auth_server_folder(data, tell)
    asyncio.run(_create_database(postgres_url))
    # Whoever listens everywhere is looked at from here; other names would need a certificate anyway.
    name = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not listened on
    return AuthServer(
        database_url=make_url(postgres_url).set(database=_DATABASE).render_as_string(hide_password=False),
        public_url=f"http://{name}:{port}",
        secret=_secret(data / "auth-secret"),
        log=data / "auth-server.log",
        folder=folder,
        trusted_origins=[f"http://127.0.0.1:{port}", f"http://localhost:{port}"],
    )


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", _DATABASE):
            await connection.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await connection.close()


def _secret(file: Path) -> str:
    """Return the secret in a file that only its owner can read; the first call makes it.

    Without it nobody is signed in any more, and the keys in the database cannot be used.
    """
    if not file.exists():
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        new.write_text(secrets.token_urlsafe(32))
        # At once and whole: half a secret would be kept for good.
        new.replace(file)
    return file.read_text()
