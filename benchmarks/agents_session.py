"""The OpenAI Agents SDK's SQLAlchemySession, with its own tables, on the same PostgreSQL.

As its documentation has it: asyncpg, one engine with SQLAlchemy's defaults for the application, tables made
by the session. Its calls are per conversation; whoever knows a session's id may read and write it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from agents import TResponseInputItem
from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks import samples

_LONG, _SHORT, _DOOMED = "long", "short", "doomed"


@dataclass(frozen=True)
class AgentsSide:
    """The calls of a conversation, by sessions on one engine."""

    engine: AsyncEngine
    kept: dict[str, SQLAlchemySession]
    anew: bool = False
    """Make the session object for each call, as a request to a web server does that names a conversation."""

    @classmethod
    def on(cls, engine: AsyncEngine) -> Self:
        """Return the side with session objects that are made once."""
        return cls(
            engine, {name: SQLAlchemySession(name, engine=engine) for name in (_LONG, _SHORT, _DOOMED)}
        )

    def per_request(self) -> "AgentsSide":
        """Return the same side with a session object for each call."""
        return AgentsSide(self.engine, self.kept, anew=True)

    def session(self, name: str) -> SQLAlchemySession:
        """Return the session of a conversation."""
        return SQLAlchemySession(name, engine=self.engine) if self.anew else self.kept[name]

    async def new_items(self, count: int) -> list[TResponseInputItem]:
        """Return questions and answers in turn."""
        return items(count)

    async def add(self, new: list[TResponseInputItem]) -> None:
        """Append items."""
        await self.session(_SHORT).add_items(new)

    async def last(self, limit: int) -> list[TResponseInputItem]:
        """Return the newest items of a long conversation."""
        return await self.session(_LONG).get_items(limit)

    async def everything(self) -> list[TResponseInputItem]:
        """Return all items of a long conversation."""
        return await self.session(_LONG).get_items()

    async def with_newest(self) -> None:
        """Add what `take_newest` takes."""
        await self.kept[_SHORT].add_items(items(1))

    async def take_newest(self, _: object) -> object:
        """Remove the newest item and return it."""
        return await self.session(_SHORT).pop_item()

    async def full(self) -> None:
        """Fill what `clear` clears."""
        await self.kept[_DOOMED].add_items(items(10))

    async def clear(self, _: object) -> None:
        """Delete a conversation with its items."""
        await self.session(_DOOMED).clear_session()


def items(count: int) -> list[TResponseInputItem]:
    """Return the questions and answers of our samples, as input items of the Responses API."""
    texts = (samples.QUESTION, samples.ANSWER)
    return [{"role": "assistant" if n % 2 else "user", "content": texts[n % 2]} for n in range(count)]


@asynccontextmanager
async def agents_side(url: str) -> AsyncIterator[AgentsSide]:
    """Open the side."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        yield AgentsSide.on(engine)
    finally:
        await engine.dispose()


async def seed(url: str, length: int) -> None:
    """Make its tables, and its long conversation pair by pair, as runs of an agent do."""
    async with agents_side(url) as side:
        session = SQLAlchemySession(_LONG, engine=side.engine, create_tables=True)
        for _ in range(length // 2):
            await session.add_items(items(2))
