"""No stranger gets through by any door: every ChatKit request and every route there is, from the code.

Each is tried with the ids of somebody else's records and with ids that nobody has. Both have to give
the same answer by way of the same statements, and to leave every table as it was.
"""

import re
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Union, get_args, get_origin

import asyncpg
import httpx
import pytest
import pytest_asyncio
from chatkit.types import ChatKitReq
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.routing import Mount

from app.database import Database, Statement
from app.export.formats import FORMATS
from app.main import create_app
from app.repositories.announcing import PROVE
from app.repositories.files import DELETE_ORPHANS, DELETE_STRAYS, DUE, FORGET
from app.repositories.leases import PRUNE, RENEW
from app.repositories.secrets import KEEP
from app.repositories.stamps import STAMPS
from app.settings import Settings
from tests.support.postgres import Databases
from tests.support.server import House, house, user_input

TABLES = (
    "chat_threads",
    "chat_thread_items",
    "chat_attachments",
    "chat_file_removals",
    "chat_claims",
    "chat_keyed_requests",
)
# In the background or once: not part of what a request costs.
FOR_NOBODY = (DUE, FORGET, DELETE_ORPHANS, DELETE_STRAYS, KEEP, PRUNE, RENEW, PROVE, STAMPS)
SAID = "what Alice said"
OWN_TABLES = {"alembic_version", "chat_secrets", "chat_data_moves", "chat_data_move_batches"}


@dataclass(frozen=True)
class Ids:
    """Records to ask for."""

    thread: str
    item: str
    attachment: str


NOBODYS = Ids("thr_0000000000000000000000", "msg_0000000000000000000000", "atc_0000000000000000000000")


@dataclass
class Door:
    """One way to ask for somebody's records."""

    name: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    has_key: bool = False
    """Whether it is tried with an idempotency key, another one each time."""

    def asks_for_ids(self) -> bool:
        """Tell whether the request names any record."""
        return any(mark in f"{self.path}{self.query}{self.body}" for mark in ("thr_", "msg_", "atc_"))


def request_types() -> list[type[BaseModel]]:
    """Return every request of the protocol."""

    def members(kind: Any) -> Iterator[type[BaseModel]]:
        if isinstance(kind, type):
            yield kind
        else:
            parts = get_args(kind)
            # Of Annotated[X, …] the first is the type; of a union all are.
            for part in parts if get_origin(kind) in (Union, type(int | str)) else parts[:1]:
                yield from members(part)

    return list(members(ChatKitReq))


def params_for(request: type[BaseModel], ids: Ids) -> dict[str, Any]:
    """Return parameters for a request that name these records wherever a record can be named."""
    kind = request.model_fields["type"].default
    after = ids.thread if kind == "threads.list" else ids.item
    # By the name of the field. A field that is missing here is a door nobody has looked at.
    values = {
        "thread_id": ids.thread,
        "item_id": ids.item,
        "item_ids": [ids.item],
        "attachment_id": ids.attachment,
        "after": after,
        "title": "changed by a stranger",
        "kind": "negative",
        "limit": 20,
        "order": "desc",
        "input": {} if "structured" in kind else user_input("stranger", attachments=[ids.attachment]),
        "action": {"type": "act", "payload": None},
        "result": "stranger",
        "name": "a.txt",
        "size": 5,
        "mime_type": "text/plain",
        "audio_base64": "AAAA",
        "client_tool_output": None,
    }
    request.model_rebuild()
    params = request.model_fields["params"].annotation
    assert isinstance(params, type)
    assert issubclass(params, BaseModel)
    fields = params.model_fields
    unknown = set(fields) - set(values)
    assert not unknown, f"{kind} has fields that this test does not fill: {unknown}"
    return {name: values[name] for name in fields}


def chatkit_doors(ids: Ids) -> list[Door]:
    """Return a door for each request of the protocol."""
    doors = []
    for request in request_types():
        kind = request.model_fields["type"].default
        body = {"type": kind, "params": params_for(request, ids)}
        doors.append(Door(kind, "POST", "/chatkit", {}, body))
        doors.append(Door(f"{kind}, with a key", "POST", "/chatkit", {}, body, has_key=True))
    return doors


@cache
def served_app() -> FastAPI:
    """Return what `chatkit-neon serve` serves; it is not started."""
    return create_app(Settings(database_url="postgresql://nobody@127.0.0.1/nothing", _env_file=None))


def rest_doors(ids: Ids) -> list[Door]:
    """Return a door for each route and method of the API, read from what the server really serves."""
    known = {"thread_id": ids.thread, "item_id": ids.item, "attachment_id": ids.attachment}
    doors = []
    for path, operations in served_app().openapi()["paths"].items():
        unknown = set(re.findall(r"{(\w+)}", path)) - set(known)
        assert not unknown, f"{path} has parameters that this test does not fill: {unknown}"
        for method, operation in operations.items():
            if (path, method) == ("/chatkit", "post"):
                continue
            names = [entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "query"]
            query = {"after": ids.thread if path == "/chat/threads" else ids.item, "token": "gAAAAA-made-up"}
            door = Door(
                f"{method.upper()} {path}",
                method.upper(),
                path.format(**known),
                {name: value for name, value in query.items() if name in names},
                {"title": "changed by a stranger"} if method == "patch" else None,
            )
            # Each format is written by code of its own.
            formats = FORMATS if "format" in names else [None]
            doors += [door if name is None else in_format(door, name) for name in formats]
    return doors


def in_format(door: Door, name: str) -> Door:
    return replace(door, name=f"{door.name}, {name}", query={**door.query, "format": name})


def doors(ids: Ids) -> list[Door]:
    return chatkit_doors(ids) + rest_doors(ids)


NAMES = [door.name for door in doors(NOBODYS)]


class Place:
    """A server, its tables, and the statements it runs."""

    def __init__(self, opened: House, connection: "asyncpg.Connection[Any]", ids: Ids) -> None:
        self.opened = opened
        self.ids = ids
        self.statements: list[str] = []
        self._connection = connection

    async def rows(self) -> dict[str, list[str]]:
        """Return everything that is in the tables."""
        return {
            table: sorted(str(row) for row in await self._connection.fetch(f"TABLE {table}"))
            for table in TABLES
        }

    async def tables(self) -> set[str]:
        """Return the names of all tables."""
        found = await self._connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in found}

    async def open(self, door: Door, headers: dict[str, str]) -> tuple[int, dict[str, str], str, list[str]]:
        """Send a request; return its whole answer, and which statements it took."""
        self.statements.clear()
        if door.has_key:
            headers = {**headers, "Idempotency-Key": uuid.uuid4().hex}
        async with httpx.AsyncClient(base_url=self.opened.url, timeout=20) as http:
            response = await http.request(
                door.method, door.path, params=door.query, json=door.body, headers=headers
            )
        changing = {
            "date",
            "set-cookie",
            "x-visitor-id",
            "x-request-id",
            "content-length",
            "last-modified",
            "etag",
        }
        kept = {name: value for name, value in response.headers.items() if name not in changing}
        return response.status_code, kept, response.text, list(self.statements)


@pytest_asyncio.fixture(scope="module", params=["memory", "persist", "deny"])
async def place(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Place]:
    # Streams of changes end soon: all of an answer is looked at.
    settings: dict[str, Any] = {"chat_anonymous": request.param, "chat_events_seconds": 0.05}
    async with databases.fresh() as url, house(url, **settings) as opened:
        alice = opened.alice
        # Attachment and message are there, the file is part of the message.
        created = await alice.http.post(
            "/chat/attachments", files={"file": ("a.txt", b"hello", "text/plain")}
        )
        assert created.status_code == 200, created.text
        attachment = created.json()["id"]
        events = await alice.stream("threads.create", input=user_input(SAID, attachments=[attachment]))
        thread = events[0]["thread"]["id"]
        item = (await alice.items(thread))[0]["id"]
        connection = await asyncpg.connect(url)
        found = Place(opened, connection, Ids(thread, item, attachment))
        with pytest.MonkeyPatch.context() as patch:
            run = Database._run

            async def noting(self: Database, statement: Statement, arguments: list[Any]) -> Any:
                if statement not in FOR_NOBODY:
                    found.statements.append(statement.name)
                return await run(self, statement, arguments)

            patch.setattr(Database, "_run", noting)
            yield found
        await connection.close()


def callers(place: Place) -> dict[str, dict[str, str]]:
    """Return who tries the doors: another account, nobody, and somebody with a token that is not good."""
    token = place.opened._demo.mint("bob")
    return {
        "stranger": {"Authorization": f"Bearer {token}"},
        "no token": {},
        "bad token": {"Authorization": f"Bearer {token[:-6]}AAAAAA"},
    }


@pytest.mark.parametrize("name", NAMES)
async def test_a_stranger_learns_and_changes_nothing(place: Place, name: str) -> None:
    theirs = next(door for door in doors(place.ids) if door.name == name)
    nobodys = next(door for door in doors(NOBODYS) if door.name == name)
    before = await place.rows()
    for who, headers in callers(place).items():
        tried = await place.open(theirs, headers)
        assert SAID not in tried[2], who
        if not theirs.asks_for_ids():
            continue
        # An id that the request itself held may be repeated; nothing else may differ.
        missing = await place.open(nobodys, headers)
        assert repeated(tried, place.ids) == repeated(missing, NOBODYS), who
        if who == "bad token":
            token_is_all = "token" in theirs.query
            assert tried[0] == (404 if token_is_all else 401)
            assert tried[3] == []
    after = await place.rows()
    mine = {table: [row for row in rows if "demo-alice" in row] for table, rows in before.items()}
    assert {table: [row for row in rows if "demo-alice" in row] for table, rows in after.items()} == mine
    if theirs.asks_for_ids():
        if theirs.has_key and "delete" in name:
            # To delete what is not there is a success, and who asked for it is told so again.
            before.pop("chat_keyed_requests")
            after.pop("chat_keyed_requests")
        assert after == before


def repeated(answer: tuple[int, dict[str, str], str, list[str]], ids: Ids) -> tuple[Any, ...]:
    status, headers, body, statements = answer
    for value in (ids.thread, ids.item, ids.attachment):
        body = body.replace(value, "ID")
    return status, headers, body, statements


async def test_every_table_is_watched(place: Place) -> None:
    assert await place.tables() == {*TABLES, *OWN_TABLES}


def test_every_request_of_the_protocol_is_a_door() -> None:
    assert len(request_types()) == 16


def test_every_route_that_is_served_is_in_the_openapi_document() -> None:
    """What is left out of it would be left out here."""
    app = served_app()
    described = {
        (path, method.upper()) for path, methods in app.openapi()["paths"].items() for method in methods
    }
    harmless = {"/openapi.json", "/api/docs"}
    served = set()
    for route in app.routes:
        assert not isinstance(route, Mount)
        for path, methods in paths_of(route):
            served |= {(path, method) for method in methods if method != "HEAD" and path not in harmless}
    assert served == described


def paths_of(route: Any) -> Iterator[tuple[str, set[str]]]:
    inner = getattr(route, "original_router", None)
    if inner is not None:
        for nested in inner.routes:
            yield from paths_of(nested)
    else:
        yield route.path, set(route.methods)
