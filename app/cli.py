"""The command `chatkit-neon`."""

import argparse
import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from fastapi import FastAPI
from pydantic import ValidationError

from app.commands import erase, export, index, migrate, purge
from app.database import migrations
from app.database.embedded import EmbeddedPostgres, EmbeddedPostgresError
from app.database.failures import StatementFailed
from app.demo.accounts import accounts_server
from app.demo.auth_server import AuthServer, AuthServerError
from app.demo.website import website
from app.doctor import Finding, Level, examine
from app.errors import ChatHistoryError
from app.identity.demo import DemoSignIn
from app.logs import configure_logs
from app.main import create_app
from app.serving import server_for
from app.settings import Settings, explain
from app.workers import serve_as_worker, serve_by
from migrations_data.command import add_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except ValidationError as error:
        print(f"chatkit-neon cannot start with these settings:\n{explain(error)}", file=sys.stderr)
    except StatementFailed as error:
        print(f"chatkit-neon: {error}. `chatkit-neon doctor` may know why.", file=sys.stderr)
    except (EmbeddedPostgresError, ChatHistoryError) as error:
        print(f"chatkit-neon: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatkit-neon", description="ChatKit conversations in PostgreSQL, per user."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API; needs DATABASE_URL, never migrates by itself")
    serve.add_argument("--workers", type=_count, default=1, metavar="N", help="processes; default: 1")
    # How a process of several gets what it serves.
    serve.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)
    demo = commands.add_parser(
        "demo", help="serve everything with an embedded PostgreSQL and demo users; data stays in .data/"
    )
    demo.add_argument("--data", type=Path, default=Path(".data"), metavar="DIR", help="default: .data")
    demo.set_defaults(run=_demo)
    doctor = commands.add_parser("doctor", help="say in plain words what is wrong or slow; changes nothing")
    doctor.set_defaults(run=_doctor)
    for command in (migrate, export, erase, purge, index):
        command.add(commands.add_parser)
    add_commands(commands)
    for server in (serve, demo):
        server.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
        server.add_argument("--port", type=int, default=8000, help="default: 8000")
    return parser


def _serve(options: argparse.Namespace) -> int:
    settings = Settings()
    if options.workers > 1:
        return _serve_by_workers(options, settings)
    app = create_app(settings)
    if options.fd is None:
        _run(app, options)
        return 0
    asyncio.run(serve_as_worker(app, options.fd, options.lifeline))
    return 0


def _serve_by_workers(options: argparse.Namespace, settings: Settings) -> int:
    configure_logs(form=settings.chat_log_format)
    try:
        listening = socket.create_server((options.host, options.port), backlog=2048)
    except OSError as error:
        print(f"Port {options.port} on {options.host} cannot be used: {error.strerror}.", file=sys.stderr)
        return 1
    with listening:
        print(f"{options.workers} processes serve http://{options.host}:{options.port}", file=sys.stderr)
        asyncio.run(serve_by(options.workers, listening))
    return 0


def _doctor(_options: argparse.Namespace) -> int:
    found: list[Level] = []

    def tell(finding: Finding) -> None:
        found.append(finding.level)
        print(finding, flush=True)

    # What the parts that it tries would log is said in its own words.
    logged = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        asyncio.run(examine(tell))
    finally:
        logging.disable(logged)
    problems, notes = found.count(Level.PROBLEM), found.count(Level.NOTE)
    print(f"{problems} problem{'' if problems == 1 else 's'}, {notes} note{'' if notes == 1 else 's'}")
    return 1 if problems else 0


def _demo(options: argparse.Namespace) -> int:
    if not _is_free(options.host, options.port):
        print(
            f"Port {options.port} on {options.host} is in use. Stop what listens there, or choose another:"
            f" chatkit-neon demo --port {options.port + 1}",
            file=sys.stderr,
        )
        return 1
    if not socket.gethostbyname(options.host).startswith("127."):
        print("Whoever reaches this address can sign in as a demo user.", file=sys.stderr)
    with ExitStack() as running:
        _tell(f"Starting PostgreSQL; its data is in {options.data}.")
        postgres = running.enter_context(EmbeddedPostgres(options.data))
        migrations.migrate(postgres.url)
        accounts = _accounts(running, options, postgres.url)
        settings = _demo_settings(options, postgres.url, accounts)
        _index_documents(settings)
        app = create_app(
            settings,
            demo=DemoSignIn(),
            auth_server=accounts.url if accounts else None,
            site=_site(options),
        )
        _tell(f"The demo is on http://{options.host}:{options.port}; Ctrl+C stops it.")
        # Nobody else sends it requests, who would have to notice.
        _run(app, options, delay=0.0)
    return 0


def _accounts(running: ExitStack, options: argparse.Namespace, postgres_url: str) -> AuthServer | None:
    """Start the auth server; without it the demo's two users are there all the same."""
    try:
        server = accounts_server(
            options.data, postgres_url=postgres_url, host=options.host, port=options.port, tell=_tell
        )
        return running.enter_context(server)
    except AuthServerError as error:
        print(
            f"The demo goes on with Alice and Bob, without accounts of your own. {error}",
            file=sys.stderr,
            flush=True,
        )
        return None


def _site(options: argparse.Namespace) -> Path | None:
    """Return where the website is; without it the API is there all the same."""
    site = website()
    if site is None:
        print(
            "The demo serves the API without the website, which is not built; `make demo` builds it if"
            f" Node.js is here. The routes are described on http://{options.host}:{options.port}/api/docs.",
            file=sys.stderr,
        )
    return site


def _index_documents(settings: Settings) -> None:
    """Have the demo answer from this project's docs; without them it says that it cannot."""
    if (documents := index.own_documents()) is not None:
        index.make_index(documents, settings.chat_index)


def _demo_settings(options: argparse.Namespace, postgres_url: str, accounts: AuthServer | None) -> Settings:
    settings = Settings(database_url=postgres_url, database_url_unpooled=None)
    own: dict[str, str | Path] = {}
    if accounts is not None:
        own["auth_jwks_url"] = accounts.jwks_url
        own["auth_issuer"] = own["auth_audience"] = accounts.public_url
    if "chat_files_url" not in settings.model_fields_set:
        own["chat_files_url"] = f"file:{options.data / 'files'}"
    if "chat_index" not in settings.model_fields_set:
        own["chat_index"] = options.data / "index"
    return settings.model_copy(update=own)


def _tell(words: str) -> None:
    print(words, flush=True)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _run(app: FastAPI, options: argparse.Namespace, *, delay: float | None = None) -> None:
    server_for(app, host=options.host, port=options.port, delay=delay).run()


def _is_free(host: str, port: int) -> bool:
    family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
