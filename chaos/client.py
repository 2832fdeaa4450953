"""A user's client: it asks again, with the same key and the same body, until it is answered."""

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any

import httpx

from chaos.journal import Journal, Operation
from chaos.snapshot import Ways
from chaos.stream import Heard, blocks

_MOST_SECONDS_BETWEEN = 2.0
_SHORTEST_PATIENCE, _LONGEST_PATIENCE = 1.5, 10.0
_VANISHES = 0.12
_CONNECT_SECONDS = 2.0
_SERVER_ERRORS = 500
_COME_BACK = (409, 429)
_MESSAGE_GONE = '404: {"error":{"code":"not_found","message":"There is no such message."'
_KEY_REUSED = "422"


@dataclass(eq=False)
class Again(Exception):
    """The attempt did not get to its end; another one may."""

    why: str
    after: float = 0.0
    """How long the server asks to wait."""


@dataclass(eq=False)
class Refused(Exception):
    """The server will not do this, however often it is asked."""

    why: str


class Client:
    """One user's way to the servers, and the rules by which all devices of the user try again."""

    def __init__(
        self,
        servers: Ways,
        journal: Journal,
        chance: random.Random,
        *,
        keys: bool = True,
    ) -> None:
        self._servers = servers
        self._journal = journal
        self._chance = chance
        self._keys = keys

    async def deliver(self, operation: Operation) -> bool:
        """Ask until the operation came to its proper end; tell whether it did or was refused for good."""
        tries = 0
        while True:
            tries += 1
            try:
                await self._attempt(operation, may_vanish=tries == 1)
            except Again as again:
                self._journal.counts[f"attempts that failed: {again.why}"] += 1
                operation.last = again.why
                await asyncio.sleep(max(again.after, self._backoff(tries)))
            except Refused as refused:
                if operation.kind == "add" and refused.why.startswith(_MESSAGE_GONE):
                    # An attempt had stored it, and it was deleted before this one came to answer it.
                    operation.told_gone = True
                    operation.ended = self._journal.now()
                    return True
                operation.refused = refused.why
                return False
            else:
                return True

    async def misuse(self, operation: Operation) -> None:
        """Ask for something else with the key of an operation that has ended: it has to be refused."""
        other = replace(operation, text=f"other {operation.text}")
        tries = 0
        while self._keys:
            tries += 1
            try:
                await self._listen(other, Heard(), leave_after=None)
            except (Again, httpx.HTTPError):
                await asyncio.sleep(self._backoff(tries))
            except Refused as refused:
                if not refused.why.startswith(_KEY_REUSED):
                    operation.wrong.append(f"another body with its key: {refused.why}")
                return
            else:
                operation.wrong.append("another body with its key was not refused")
                return

    def _backoff(self, tries: int) -> float:
        return min(0.05 * 2.0**tries, _MOST_SECONDS_BETWEEN) * self._chance.uniform(0.5, 1.0)

    async def _attempt(self, operation: Operation, *, may_vanish: bool) -> None:
        heard = Heard()
        leave_after = self._chance.randrange(12) if may_vanish and self._chance.random() < _VANISHES else None
        operation.attempts += 1
        self._journal.counts["requests"] += 1
        if operation.begun is None:
            operation.begun = self._journal.now()
        try:
            await self._listen(operation, heard, leave_after)
        except httpx.HTTPError as error:
            raise Again(type(error).__name__) from error
        finally:
            self._note(operation, heard)
        if heard.error is not None:
            why = f"error event: {heard.error}"
            raise Again(why) if heard.may_retry else Refused(why)
        if not self._came_to_its_end(heard):
            raise Again("no proper end")
        self._end(operation, heard)

    async def _listen(self, operation: Operation, heard: Heard, leave_after: int | None) -> None:
        patience = self._chance.uniform(_SHORTEST_PATIENCE, _LONGEST_PATIENCE)
        async with self._chance.choice(self._servers).stream(
            "POST",
            "/chatkit",
            json=body_of(operation),
            headers={"Idempotency-Key": operation.key} if self._keys else {},
            timeout=httpx.Timeout(patience, connect=_CONNECT_SECONDS),
        ) as response:
            if not response.is_success:
                await response.aread()
                raise _failure(response)
            number = 0
            async for block in blocks(response.aiter_bytes()):
                heard.take(block)
                number += 1
                if number == leave_after:
                    raise Again("left on purpose", after=self._chance.uniform(0.0, 1.5))

    def _note(self, operation: Operation, heard: Heard) -> None:
        """Hold the server to everything that it said, however the stream ended."""
        if heard.thread_id is not None:
            operation.thread_ids.add(heard.thread_id)
        if operation.kind != "retry":
            operation.message_ids |= heard.message_ids
            if heard.message_ids and operation.seen is None:
                operation.seen = self._journal.now()

    def _came_to_its_end(self, heard: Heard) -> bool:
        # Without keys there is no such mark: the end of the response has to do.
        return heard.ended or (not self._keys and bool(heard.answers))

    def _end(self, operation: Operation, heard: Heard) -> None:
        self._journal.counts["streams with a proper end"] += 1
        if not heard.live:
            self._journal.counts["answers replayed from the store"] += 1
        if operation.kind == "add" and not heard.message_ids and not heard.answers:
            operation.told_gone = True
        elif list(heard.answers.values()) != [operation.text]:
            operation.wrong.append(f"its stream ended with the answers {heard.answers}")
        if operation.kind != "retry" and not operation.told_gone and len(heard.message_ids) != 1:
            operation.wrong.append(f"its stream ended with the messages {sorted(heard.message_ids)}")
        if operation.ended is None:
            operation.ended = self._journal.now()
            operation.answer_id = next(iter(heard.answers), None)


def body_of(operation: Operation) -> dict[str, Any]:
    """Return the request for an operation: each time the same."""
    message = {
        "content": [{"type": "input_text", "text": operation.text}],
        "attachments": [],
        "inference_options": {},
    }
    match operation.kind:
        case "create":
            return {"type": "threads.create", "params": {"input": message}}
        case "add":
            params: dict[str, Any] = {"thread_id": _only(operation.thread_ids), "input": message}
            return {"type": "threads.add_user_message", "params": params}
        case "retry":
            params = {
                "thread_id": _only(operation.thread_ids),
                "item_id": _only(operation.message.message_ids),
            }
            return {"type": "threads.retry_after_item", "params": params}


def _only(ids: set[str]) -> str:
    # With two, which the checker reports, any of them, but always the same.
    return min(ids)


def _failure(response: httpx.Response) -> Again | Refused:
    status = response.status_code
    if status >= _SERVER_ERRORS or status in _COME_BACK:
        return Again(f"status {status}", after=float(response.headers.get("Retry-After", 0)))
    return Refused(f"{status}: {response.text}")
