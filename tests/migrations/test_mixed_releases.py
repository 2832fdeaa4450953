"""Deploys migrate first: until the last process is replaced, older releases work on the newest schema."""

from dataclasses import asdict

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.schema import REVISIONS
from app.stores import NeonChatKitStore
from tests.migrations.conversation import PARTS, Context, look
from tests.migrations.recorder import shape_of
from tests.migrations.recording import FOLDER, Recording
from tests.migrations.replay import Replay
from tests.support.owners import Owner

RELEASES = [path.stem for path in sorted(FOLDER.glob("*.json"))]


def test_every_revision_but_the_newest_has_a_recording() -> None:
    assert list(REVISIONS[:-1]) == RELEASES, (
        "Each revision before the newest needs a recording of its last release. Run this where the git"
        " history is: python -m tests.migrations.record"
    )


@pytest.mark.parametrize("revision", RELEASES)
async def test_every_statement_of_an_older_release_is_prepared_as_it_was(
    revision: str, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    for name, shape in Recording.load(revision).statements.items():
        assert asdict(await shape_of(connection, shape.sql)) == asdict(shape), name
    await connection.close()


@pytest.mark.parametrize("revision", RELEASES)
async def test_what_an_older_release_writes_is_read_back_by_it_and_by_this_one(
    revision: str, database_url: str, engine: AsyncEngine, owner: Owner
) -> None:
    recording = Recording.load(revision)
    connection = await asyncpg.connect(database_url)
    older = Replay(connection, recording, owner.user_id)
    await older.talk()
    await older.look()
    await connection.close()
    assert await look(NeonChatKitStore[Context](engine), Context(owner.user_id)) == recording.seen


@pytest.mark.parametrize("revision", RELEASES)
async def test_what_this_release_writes_is_read_by_an_older_one(
    revision: str, database_url: str, engine: AsyncEngine, owner: Owner
) -> None:
    recording = Recording.load(revision)
    store, me = NeonChatKitStore[Context](engine), Context(owner.user_id)
    for name in recording.parts:
        _, part = PARTS[name]
        await part(store, me)
    connection = await asyncpg.connect(database_url)
    await Replay(connection, recording, owner.user_id).look()
    await connection.close()
