"""Servers whose answers come from a model, and documents for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.agent.building import agent_responder
from app.chat.responder import Responder
from app.retrieval.passages import Passage, RetrievalUnavailable, Retriever
from app.settings import Settings
from tests.support.model_server import ModelServer
from tests.support.server import House, house

KEY = "sk-a-key-that-nobody-may-see"
SETTINGS = Passage("CHAT_POOL_MAX_SIZE is 10.", "Settings", "/docs/settings#pool", 0.9)
BOOK = Passage("A pool is a set of open connections.", "The Book of Pools", None, 0.5)


class Shelf:
    """Documents that are found by questions with a word in them, until they are gone."""

    def __init__(self, *passages: Passage, word: str = "") -> None:
        self.passages = list(passages)
        self.word = word
        self.asked: list[str] = []
        self.is_gone = False
        self.lost_after: int | None = None
        """After how many questions they are gone."""

    async def search(self, question: str, *, limit: int) -> list[Passage]:
        """Return the passages."""
        self.asked.append(question)
        if self.is_gone or (self.lost_after is not None and len(self.asked) > self.lost_after):
            raise RetrievalUnavailable("The shelf is gone")
        return self.passages[:limit] if self.word in question else []

    async def close(self) -> None:
        """Do nothing."""


def asking(model: ModelServer, documents: Retriever | None = None, **settings: Any) -> Responder:
    """Return the responder that settings make which name this model."""
    values = {
        "chat_responder": "openai",
        "openai_api_key": KEY,
        "openai_base_url": model.url,
        "openai_model": "m",
        "openai_api": model.says.name,
        **settings,
    }
    return agent_responder(
        Settings(**values, database_url="postgresql://localhost/none", _env_file=None), documents
    )


@asynccontextmanager
async def tutors_house(
    database_url: str, model: ModelServer, documents: Retriever | None = None, **settings: Any
) -> AsyncIterator[House]:
    """Run a server that asks this model, with these documents; settings are those of the responder."""
    async with house(database_url, asking(model, documents, **settings)) as opened:
        yield opened
