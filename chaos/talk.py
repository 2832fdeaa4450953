"""What users do: conversations, one thread after the other, until it is over."""

import asyncio
import itertools
import random

from chaos.client import Client
from chaos.journal import Journal, Operation

_WORDS = ("so", "and", "naïve", "日本語", "🙂", "e\u0301t\u00e9", "«maybe»", "never", "42", "a\tb", "then")
_LONGEST_MESSAGE = 24
_LONGEST_THREAD = 14
_LONGEST_PAUSE = 0.3
_LATE = 3
"""From how far back a message may be answered again."""


class Conversation:
    """One user's thread, then another one. What one device sends, it sends in strict order."""

    def __init__(
        self,
        owner: str,
        name: str,
        client: Client,
        journal: Journal,
        chance: random.Random,
    ) -> None:
        """Let a user talk."""
        self.owner = owner
        self.client = client
        self.journal = journal
        self.chance = chance
        self._name = name
        self._messages = itertools.count(1)
        self._threads = itertools.count(1)

    async def run(self, over: asyncio.Event) -> None:
        """Talk until it is over; what was begun is brought to its end."""
        while not over.is_set():
            await _Thread(self, f"{self._name}.{next(self._threads)}").run(over)

    def text(self) -> str:
        """Return words that nobody has sent yet."""
        words = self.chance.choices(_WORDS, k=self.chance.randint(3, _LONGEST_MESSAGE))
        return " ".join([f"{self._name}.{next(self._messages)}", *words])


class _Thread:
    def __init__(self, conversation: Conversation, name: str) -> None:
        self._all = conversation
        self._chance = conversation.chance
        self._client = conversation.client
        self._created = Operation("create", conversation.owner, name, conversation.text())

    async def run(self, over: asyncio.Event) -> None:
        if not await self._send(self._all.journal.add(self._created)):
            return
        for _ in range(self._chance.randrange(_LONGEST_THREAD)):
            if over.is_set() or not await self._round():
                return
            await asyncio.sleep(self._chance.uniform(0, _LONGEST_PAUSE))

    async def _round(self) -> bool:
        """Do one thing, to its end; tell whether the conversation can go on."""
        kinds = {
            self._one_message: 44,
            self._two_devices: 20,
            self._one_message_twice: 12,
            self._answer_again: 8,
            self._answer_again_twice: 6,
            self._answer_again_beside_a_message: 6,
            self._old_request: 6,
            self._old_key: 2,
        }
        [kind] = self._chance.choices(list(kinds), list(kinds.values()))
        return await kind()

    async def _one_message(self) -> bool:
        return await self._send(self._message())

    async def _two_devices(self) -> bool:
        """Two devices at once, each with messages of its own."""
        ours = [self._message() for _ in range(self._chance.randint(1, 2))]
        return all(await asyncio.gather(self._send(*ours), self._send(self._message())))

    async def _one_message_twice(self) -> bool:
        """One message on two ways at once: the client thought the first one dead."""
        message = self._message()
        return await self._at_once(message, message)

    async def _answer_again(self) -> bool:
        return await self._send(self._retry(self._target()))

    async def _answer_again_twice(self) -> bool:
        target = self._target()
        return await self._at_once(self._retry(target), self._retry(target))

    async def _answer_again_beside_a_message(self) -> bool:
        target, beside = self._target(), self._message()
        return await self._at_once(self._retry(target, beside), beside)

    async def _old_request(self) -> bool:
        """A device that was away sends what it does not know to be done."""
        return await self._send(self._chance.choice(self._standing()))

    async def _old_key(self) -> bool:
        await self._client.misuse(self._created)
        return True

    async def _send(self, *operations: Operation) -> bool:
        for operation in operations:
            if not await self._client.deliver(operation):
                return False
        return True

    async def _at_once(self, *operations: Operation) -> bool:
        return all(await asyncio.gather(*map(self._send, operations)))

    def _message(self) -> Operation:
        return self._plan(Operation("add", self._all.owner, self._created.conversation, self._all.text()))

    def _retry(self, target: Operation, *beside: Operation) -> Operation:
        behind = tuple(other for other in self._messages() if _is_before(target, other))
        return self._plan(
            Operation(
                "retry",
                self._all.owner,
                self._created.conversation,
                target.text,
                target=target,
                removes=behind,
                may_remove=beside,
            )
        )

    def _plan(self, operation: Operation) -> Operation:
        operation.thread_ids |= self._created.thread_ids
        return self._all.journal.add(operation)

    def _target(self) -> Operation:
        """Return one of the last messages of which it is known what was before and what behind them."""
        sent = self._messages()
        alone = [
            one
            for one in self._standing()
            if one.kind != "retry"
            and all(other is one or _is_before(one, other) or _is_before(other, one) for other in sent)
        ]
        return self._chance.choice(alone[-_LATE:])

    def _standing(self) -> list[Operation]:
        """Return what came to its end, and was not removed when an earlier message was answered again."""
        ended = [operation for operation in self._so_far() if operation.ended]
        gone = {removed for operation in ended for removed in (*operation.removes, *operation.may_remove)}
        return [operation for operation in ended if operation.message not in gone]

    def _messages(self) -> list[Operation]:
        return [operation for operation in self._so_far() if operation.kind != "retry"]

    def _so_far(self) -> list[Operation]:
        return [
            operation for operation in self._all.journal.of(self._created.conversation) if operation.begun
        ]


def _is_before(one: Operation, other: Operation) -> bool:
    return one.ended is not None and other.begun is not None and one.ended < other.begun
