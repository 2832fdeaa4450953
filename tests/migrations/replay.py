"""An older release at work: what was recorded of it, run on a database of today."""

import time
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from tests.migrations.recording import Call, Recording, from_json, to_json

_SOME_TIME = "some time"


class Replay:
    """A recorded release on one connection, for an owner of one's own."""

    def __init__(self, connection: "asyncpg.Connection[Any]", recording: Recording, owner: str) -> None:
        self._connection = connection
        self._recording = recording
        self._owner = owner
        self.longest = 0.0
        """Seconds that its slowest statement took."""

    async def talk(self) -> None:
        """Have the recorded conversation; each statement has to return what it returned then."""
        for call in self._recording.talk:
            await self._run(call)

    async def look(self) -> None:
        """Read the recorded conversation; each statement has to return what it returned then."""
        for call in self._recording.look:
            await self._run(call)

    async def _run(self, call: Call) -> None:
        statement = self._recording.statements[call.statement]
        values = [from_json(value, self._owner) for value in call.values]
        began = time.perf_counter()
        rows = await self._connection.fetch(statement.sql, *values)
        self.longest = max(self.longest, time.perf_counter() - began)
        expected = [from_json(value, self._owner) for value in call.rows]
        assert comparable([list(row) for row in rows]) == comparable(expected), call.statement


def comparable(value: Any) -> Any:
    """Return a driver's value with the clock's own readings, which no two runs share, left out."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    return _SOME_TIME if isinstance(value, datetime | timedelta) else to_json(value)
