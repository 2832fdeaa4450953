"""Names for conversations, by the model, beside the turns."""

import asyncio
import logging
from dataclasses import replace

from agents import Agent, RunConfig, Runner
from chatkit.store import NotFoundError
from chatkit.types import AssistantMessageItem, ThreadItem, UserMessageItem

from app.agent.converter import cleaned
from app.agent.data import data_block
from app.agent.endpoint import Endpoint
from app.agent.failures import explained
from app.agent.instructions import TITLE
from app.chat.admission import title_from
from app.chat.responder import Turn, text_of
from app.errors import ChatHistoryError

logger = logging.getLogger(__name__)

_BEGINNING = 2_000
_LONGEST = 80
_AT_ONCE = 8
_MOST_WAITING = 200
_WHAT = "The beginning of the conversation:"
_QUOTES = "\"'`*#_ «»“”„\u2018\u2019"


class Titles:
    """Gives a conversation a name once its first message is answered.

    In tasks of their own, because nobody should wait for a name: the answer has ended by then, and
    every device hears of the name as of any other rename. A name that somebody gave stays; without
    one from the model the first words of the message stay.
    """

    def __init__(self, endpoint: Endpoint, *, seconds: float) -> None:
        """Ask a model, for so many seconds at most."""
        self._agent = Agent(
            name="titles",
            instructions=TITLE,
            model=endpoint.model,
            model_settings=endpoint.model_settings,
        )
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_AT_ONCE)

    def begin(self, turn: Turn, message: UserMessageItem, answer: str, before: list[ThreadItem]) -> None:
        """Look for a name if this was the first answer, and nobody has named the conversation.

        `before` is what was said up to the message.
        """
        is_first = not any(isinstance(item, AssistantMessageItem) for item in before)
        if not is_first or not answer.strip() or turn.thread.title != title_from(message):
            return
        if len(self._tasks) >= _MOST_WAITING:
            # A model that is too slow for its names would be asked for ever more of them.
            return
        task = asyncio.create_task(self._name(turn, turn.thread.title, text_of(message), answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is not named yet."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _name(self, turn: Turn, title: str | None, question: str, answer: str) -> None:
        try:
            async with self._free, asyncio.timeout(self._seconds):
                name = await self._found(question, answer)
            if name:
                # Not as part of the turn, which has ended.
                context = replace(turn.context, attempt=None)
                await turn.store.retitle_thread(turn.thread.id, name, instead_of=title, context=context)
        except (ChatHistoryError, NotFoundError) as error:
            logger.info("A conversation keeps its first words as its name", exc_info=error)
        except Exception as error:
            known = explained(error)
            if not isinstance(known, ChatHistoryError):
                logger.warning("A conversation could not be named", exc_info=known)

    async def _found(self, question: str, answer: str) -> str:
        said = cleaned({"question": question[:_BEGINNING], "answer": answer[:_BEGINNING]})
        result = await Runner.run(
            self._agent,
            data_block(_WHAT, said),
            max_turns=1,
            run_config=RunConfig(tracing_disabled=True),
        )
        return _one_line(str(result.final_output))


def _one_line(text: str) -> str:
    """Return a name as it can be shown: one line without marks around it, not too long."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    words = " ".join("".join(char for char in line if char.isprintable()).split()).strip(_QUOTES).rstrip(".")
    if len(words) <= _LONGEST:
        return words
    return (words[:_LONGEST].rpartition(" ")[0] or words[:_LONGEST]) + "…"
