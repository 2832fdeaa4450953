"""The offline index in memory: questions are answered from it without a network."""

import asyncio
import logging
import time
from pathlib import Path

from app.retrieval.index import IndexUnusable, current_generation, read_index
from app.retrieval.passages import Passage
from app.retrieval.ranking import Ranking
from app.retrieval.word_vectors import WordVectors

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0


class LocalRetriever:
    """A Retriever over the offline index. A new index that a run puts in force is taken on within seconds."""

    def __init__(self, folder: Path) -> None:
        """Read the index in a folder. Raises IndexUnusable."""
        self._folder = folder
        self._words = WordVectors()
        self._name, self._ranking = self._read()
        self._looked = time.monotonic()
        self._reading: asyncio.Task[None] | None = None

    async def search(self, question: str, *, limit: int) -> list[Passage]:
        """Return up to `limit` passages, the best first; none when nothing is near."""
        self._look_for_a_new_one()
        return [
            Passage(
                text=found.chunk.text,
                title=found.chunk.title,
                url=found.chunk.url,
                score=found.score,
                is_doubtful=not found.is_sure,
            )
            for found in self._ranking.best(question, limit)
        ]

    async def close(self) -> None:
        """End what runs in the background."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def _look_for_a_new_one(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS or (self._reading is not None and not self._reading.done()):
            return
        self._looked = now
        self._reading = asyncio.create_task(self._take_on())

    async def _take_on(self) -> None:
        try:
            if await asyncio.to_thread(current_generation, self._folder) in (None, self._name):
                return
            self._name, self._ranking = await asyncio.to_thread(self._read)
        except IndexUnusable as error:
            _log.warning("The documents stay as they were: %s", str(error))

    def _read(self) -> tuple[str, Ranking]:
        stored = read_index(self._folder)
        return stored.name, Ranking(stored, self._words)
