"""What users do: conversations, one thread after the other, until it is over."""

import asyncio
import itertools
import random

from chaos.client import Client
from chaos.journal import Journal, Kind, Operation

_WORDS = (
    "so",
    "and",
    "naïve",
    "日本語",
    "🙂",
    "or",
    "e\u0301t\u00e9",
    "«maybe»",
    "never",
    "42",
    "a\tb",
    "then",
)
_LONGEST_MESSAGE = 24
_LONGEST_THREAD = 14
_LONGEST_PAUSE = 0.3
_ROUNDS = {"one": 46, "devices": 22, "twins": 12, "retry": 12, "repeat": 8}


class Conversation:
    """One user's thread, then another one. What one device sends, it sends in strict order."""

    def __init__(
        self, owner: str, name: str, client: Client, journal: Journal, chance: random.Random
    ) -> None:
        self._owner = owner
        self._name = name
        self._client = client
        self._journal = journal
        self._chance = chance
        self._numbers = itertools.count(1)
        self._threads = itertools.count(1)

    async def run(self, over: asyncio.Event) -> None:
        """Talk until it is over; what was begun is brought to its end."""
        while not over.is_set():
            thread = _Thread(self, f"{self._name}.{next(self._threads)}")
            await thread.run(over)

    def plan(self, kind: Kind, thread: str, target: Operation | None = None) -> Operation:
        """Return a new operation, noted before it is sent."""
        text = target.text if target else self._text()
        return self._journal.add(Operation(kind, self._owner, thread, text, target))

    def _text(self) -> str:
        words = self._chance.choices(_WORDS, k=self._chance.randint(3, _LONGEST_MESSAGE))
        return " ".join([f"{self._name}.{next(self._numbers)}", *words])

    @property
    def client(self) -> Client:
        return self._client

    @property
    def chance(self) -> random.Random:
        return self._chance

    def so_far(self, thread: str) -> list[Operation]:
        """Return what was asked for in a thread."""
        return self._journal.of(thread)


class _Thread:
    def __init__(self, conversation: Conversation, name: str) -> None:
        self._conversation = conversation
        self._name = name
        self._chance = conversation.chance
        self._thread_ids: set[str] = set()

    async def run(self, over: asyncio.Event) -> None:
        created = self._conversation.plan("create", self._name)
        if not await self._conversation.client.deliver(created):
            return
        self._thread_ids = created.thread_ids
        for _ in range(self._chance.randrange(_LONGEST_THREAD)):
            if over.is_set() or not await self._round():
                return
            await asyncio.sleep(self._chance.uniform(0, _LONGEST_PAUSE))

    async def _round(self) -> bool:
        """Do one thing, to its end; tell whether the conversation can go on."""
        [kind] = self._chance.choices(list(_ROUNDS), list(_ROUNDS.values()))
        match kind:
            case "one":
                return await self._send([self._message()])
            case "devices":
                # Two devices at once, each with messages of its own.
                ours = [self._message() for _ in range(self._chance.randint(1, 2))]
                return all(await asyncio.gather(self._send(ours), self._send([self._message()])))
            case "twins":
                # One message on two ways at once: the client thought the first one dead.
                message = self._message()
                return all(await asyncio.gather(self._send([message]), self._send([message])))
            case "retry":
                return await self._answer_again()
            case _:
                # A device that was away sends what it does not know to be done.
                return await self._send([self._chance.choice(self._standing())])

    def _message(self) -> Operation:
        message = self._conversation.plan("add", self._name)
        message.thread_ids |= self._thread_ids
        return message

    async def _send(self, operations: list[Operation]) -> bool:
        for operation in operations:
            if not await self._conversation.client.deliver(operation):
                return False
        return True

    async def _answer_again(self) -> bool:
        target = self._chance.choice(self._alone()[-3:])
        retry = self._conversation.plan("retry", self._name, target)
        retry.thread_ids |= self._thread_ids
        retry.removes = tuple(
            other for other in self._standing() if other.kind != "retry" and _is_before(target, other)
        )
        return await self._send([retry])

    def _standing(self) -> list[Operation]:
        """Return the operations whose messages were not removed when an earlier one was answered again."""
        so_far = [o for o in self._conversation.so_far(self._name) if o.ended]
        gone = {removed for operation in so_far for removed in operation.removes}
        return [operation for operation in so_far if operation.message not in gone]

    def _alone(self) -> list[Operation]:
        """Return the messages of which it is known what was before and what behind them."""
        sent = [operation for operation in self._standing() if operation.kind != "retry"]
        return [
            one
            for one in sent
            if all(other is one or _is_before(one, other) or _is_before(other, one) for other in sent)
        ]


def _is_before(one: Operation, other: Operation) -> bool:
    return one.ended is not None and other.begun is not None and one.ended < other.begun
