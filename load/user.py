"""One user: turns at a pace of their own, and now and then a look at what is there."""

import asyncio
import itertools
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from load.connection import Answer, Connection, Lost
from load.figures import Did, Figures
from load.listening import Stream
from load.plan import Place, Plan
from load.requests import Requests, message

TURNS_PER_THREAD = 10
_WORDS = (
    "so",
    "and",
    "naïve",
    "日本語",
    "🙂",
    "\u00e9t\u00e9",
    "«maybe»",
    "never",
    "42",
    "then",
    "what",
    "of",
)
_LEAVES = 0.03
_LATEST_LEAVE = 10
"""Events after which a user who leaves an answer has left."""
_REPEATS = 0.03
_LOOKS = 0.25
"""Looks at threads per turn."""
_PAGE = 8
_TRIES = 5
_RETRY_SECONDS = 1.0


@dataclass
class Sent:
    """A thread as its user knows it."""

    thread_id: str
    texts: list[str] = field(default_factory=list)
    """Each of them a message, and its answer behind it."""
    title: str | None = None

    @property
    def shown(self) -> list[str]:
        """What all items say, the oldest first."""
        return [text for text in self.texts for _ in range(2)]


class User:
    """Somebody with an account; does one thing after the other, each when it is due."""

    def __init__(self, name: str, plan: Plan, place: Place, seed: str) -> None:
        self.name = name
        self.sent: list[Sent] = []
        self.unsure: list[str] = []
        """Messages of which nobody said whether they are stored."""
        self.connection = Connection(place.host, place.port)
        self._requests = Requests(place.host, place.port, place.tokens[name])
        self._plan = plan
        self._chance = random.Random(seed)  # noqa: S311 - has to be repeatable
        self._numbers = itertools.count(1)
        self._strangers: list[User] = []

    def meet(self, others: "list[User]") -> None:
        """Let the user know whose threads to ask for in vain."""
        self._strangers = others

    async def chat(self, begin: float, end: float, figures: Figures, measured_from: float) -> None:
        """Take turns that are due from `begin` to `end`, on the clock of time.monotonic().

        When a turn is due does not depend on how long the one before took; it counts from when it was
        due, sent or not, so that a server that stands still is seen by everybody who had come.
        """
        due = begin + self._chance.uniform(0, self._plan.every)
        unmeasured = Figures()
        while due < end:
            now = time.monotonic()
            noted = figures if due >= measured_from else unmeasured
            if now >= end:
                noted.never_sent += 1
            else:
                if now < due:
                    await asyncio.sleep(due - now)
                    noted.late.append(time.monotonic() - due)
                await self._turn(due, noted)
                figures.in_time += measured_from <= time.monotonic() <= end
                await self._look_around(noted, end)
            due += self._plan.every * self._chance.uniform(0.5, 1.5)
        figures.wrong += unmeasured.wrong
        figures.examples += unmeasured.examples

    async def _look_around(self, figures: Figures, end: float) -> None:
        if self._chance.random() >= _LOOKS or time.monotonic() >= end:
            return
        looks = {self._list: 4, self._open: 4, self._page_back: 3, self._rename: 1, self._stranger: 1}
        [look] = self._chance.choices(list(looks), list(looks.values()))
        await look(figures)

    async def _turn(self, due: float, figures: Figures) -> None:
        is_new = not self.sent or len(self.sent[-1].texts) >= TURNS_PER_THREAD
        did = Did.CREATE if is_new else Did.ADD
        number = next(self._numbers)
        text = " ".join([f"{self.name}.{number}", *self._chance.choices(_WORDS, k=self._plan.words)])
        key = f"{self.name}-{number}"
        if is_new:
            request = self._requests.chatkit("threads.create", key=key, input=message(text))
        else:
            request = self._requests.chatkit(
                "threads.add_user_message", key=key, thread_id=self.sent[-1].thread_id, input=message(text)
            )
        if self._chance.random() < _LEAVES:
            await self._leave(request, figures)
            did, due = Did.RETURN, time.monotonic()
        stream = await self._until_answered(did, request, text, due, figures)
        if stream is None:
            self.unsure.append(text)
            return
        if is_new:
            assert stream.heard.thread_id is not None
            self.sent.append(Sent(stream.heard.thread_id))
        self.sent[-1].texts.append(text)
        if self._chance.random() < _REPEATS:
            await self._repeat(request, text, stream, figures)

    async def _leave(self, request: bytes, figures: Figures) -> None:
        stream = Stream(self._chance.randint(1, _LATEST_LEAVE))
        answer = await self._ask(Did.RETURN, request, figures, stream)
        figures.left += answer is not None and answer.is_left

    async def _until_answered(
        self, did: Did, request: bytes, text: str, due: float, figures: Figures
    ) -> Stream | None:
        """Send a message, with the same key until it is answered, as an outbox does; each failure counts."""
        for _ in range(_TRIES):
            stream = Stream()
            answer = await self._ask(did, request, figures, stream)
            if answer is not None and self._is_right(did, text, stream, figures):
                figures.note(did, due)
                for part, moment in (
                    (Did.STORED, stream.stored_at),
                    (Did.FIRST_WORDS, stream.first_words_at),
                ):
                    if moment is not None and did is not Did.RETURN:
                        figures.note(part, due, moment)
                return stream
            await asyncio.sleep(_RETRY_SECONDS)
        return None

    @staticmethod
    def _is_right(did: Did, text: str, stream: Stream, figures: Figures) -> bool:
        heard = stream.heard
        told = (heard.error, heard.ended, len(heard.message_ids), list(heard.answers.values()))
        if told != (None, True, 1, [text]) or (did is Did.CREATE and heard.thread_id is None):
            figures.complain(did, f"{text!r}: its stream said {heard}")
            return False
        return True

    async def _repeat(self, request: bytes, text: str, first: Stream, figures: Figures) -> None:
        due, again = time.monotonic(), Stream()
        answer = await self._ask(Did.REPEAT, request, figures, again)
        if answer is None or not self._is_right(Did.REPEAT, text, again, figures):
            return
        figures.note(Did.REPEAT, due)
        same = (again.heard.message_ids, again.heard.answers) == (
            first.heard.message_ids,
            first.heard.answers,
        )
        if not same or not answer.is_replayed:
            figures.complain(Did.REPEAT, f"{text!r} was answered twice")

    async def _list(self, figures: Figures) -> None:
        page = await self._read(Did.LIST, figures, "threads.list", limit=100)
        if page is None:
            return
        mine = {sent.thread_id: sent.title for sent in self.sent[-100:]}
        shown = {row["id"]: row["title"] for row in page["data"]}
        renamed = {thread_id: title for thread_id, title in mine.items() if title is not None}
        if shown.keys() != mine.keys() and not self.unsure:
            figures.complain(Did.LIST, f"{sorted(shown)} instead of {sorted(mine)}")
        elif not renamed.items() <= shown.items():
            figures.complain(Did.LIST, f"titles {shown} instead of {renamed}")

    async def _open(self, figures: Figures) -> None:
        if not self.sent:
            return
        sent = self._chance.choice(self.sent)
        thread = await self._read(Did.OPEN, figures, "threads.get_by_id", thread_id=sent.thread_id)
        if thread is not None:
            page = thread["items"]
            self._compare(Did.OPEN, _texts(page), sent.shown[: len(page["data"])], figures)

    async def _page_back(self, figures: Figures) -> None:
        if not self.sent:
            return
        sent = self._chance.choice(self.sent)
        which = {"thread_id": sent.thread_id, "limit": _PAGE, "order": "desc"}
        newest = await self._read(Did.NEWEST, figures, "items.list", **which)
        if newest is None:
            return
        back = sent.shown[::-1]
        self._compare(Did.NEWEST, _texts(newest), back[:_PAGE], figures)
        if newest["has_more"]:
            page = await self._read(Did.BACK, figures, "items.list", after=newest["after"], **which)
            if page is not None:
                self._compare(Did.BACK, _texts(page), back[_PAGE : 2 * _PAGE], figures)

    async def _rename(self, figures: Figures) -> None:
        if not self.sent:
            return
        sent = self._chance.choice(self.sent)
        title = f"{self.name} calls it {next(self._numbers)}"
        if await self._read(Did.RENAME, figures, "threads.update", thread_id=sent.thread_id, title=title):
            sent.title = title

    async def _stranger(self, figures: Figures) -> None:
        other = self._chance.choice(self._strangers)
        if other is self or not other.sent:
            return
        due = time.monotonic()
        answer = await self._ask(
            Did.STRANGER, self._requests.thread(other.sent[0].thread_id), figures, status=404
        )
        if answer is not None:
            figures.note(Did.STRANGER, due)

    def _compare(self, did: Did, shown: list[str], sent: list[str], figures: Figures) -> None:
        if shown != sent and not self.unsure:
            figures.complain(did, f"{shown} instead of {sent}")

    async def _read(self, did: Did, figures: Figures, kind: str, **params: Any) -> Any:
        due = time.monotonic()
        answer = await self._ask(did, self._requests.chatkit(kind, **params), figures)
        if answer is None:
            return None
        figures.note(did, due)
        return json.loads(answer.body)

    async def _ask(
        self, did: Did, request: bytes, figures: Figures, stream: Stream | None = None, status: int = 200
    ) -> Answer | None:
        """Return the answer to a request; None when it is not what it has to be, which is noted."""
        try:
            answer = await self.connection.ask(request, stream)
        except (Lost, OSError, TimeoutError) as error:
            figures.complain(did, f"{type(error).__name__}: {error}")
            return None
        if answer.status != status:
            figures.complain(did, f"status {answer.status}: {answer.body[:200].decode(errors='replace')}")
            return None
        return answer


def _texts(page: dict[str, Any]) -> list[str]:
    return ["".join(part["text"] for part in item["content"]) for item in page["data"]]
