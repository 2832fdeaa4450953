"""Requests that carry an idempotency key: however often one is sent, it is answered once.

The first attempt answers, and holds the request meanwhile. A repeat joins that answer when it is
being written in this process, waits for it when it is written in another, streams what was stored
when it is finished, and answers when whoever was to do so has failed, stopped or died.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import anyio
from chatkit.types import (
    ChatKitReq,
    InputTranscribeReq,
    ItemsListReq,
    NonStreamingReq,
    StreamingReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    is_streaming_req,
)

from app.chat.context import ChatContext
from app.chat.failures import is_refusal, last_words
from app.chat.server import HistoryServer, result_of
from app.chat.turns import END, Ending, Keyed, RunningTurn, Turns
from app.errors import Busy, KeyReused
from app.repositories.leases import Held
from app.repositories.requests import Standing
from app.stores.attempts import AlreadyAsked, Attempt, digest_of
from app.stores.ids import id_from, is_storable

_READING = (ThreadsGetByIdReq, ThreadsListReq, ItemsListReq, InputTranscribeReq)
DEFAULT_LONGEST_SECONDS = 600.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0


class Key(NamedTuple):
    """An idempotency key, and what it stands for."""

    text: str
    fingerprint: str
    """A digest of the request's body. White space and the order of members make no difference."""

    @property
    def request_id(self) -> str:
        """The id of the request, whoever sends it."""
        return digest_of(self.text)


def key_for(text: str, body: bytes) -> Key:
    """Return the key of a request with this body, which is JSON."""
    # Numbers as they are written: Python reads some of them not at all, and some as the same.
    content = json.loads(body, parse_int=_number, parse_float=_number, parse_constant=_number)
    return Key(text, digest_of(json.dumps(content, sort_keys=True)))


def _number(text: str) -> list[str]:
    return ["number", text]


class Asker(NamedTuple):
    """Who asks, of which server, and as whom they are counted."""

    server: HistoryServer
    owner: str
    context: ChatContext


class Answer(NamedTuple):
    """A stream that has begun."""

    chunks: AsyncIterator[bytes]
    is_repeated: bool
    """Whether another request has begun it."""


class ExactlyOnce:
    """Answers keyed requests, in this process together with the others."""

    def __init__(
        self,
        turns: Turns,
        *,
        lease_seconds: float,
        wait_seconds: float,
        longest_seconds: float = DEFAULT_LONGEST_SECONDS,
    ) -> None:
        """Hold requests for `lease_seconds` at a time; have repeats wait for another for `wait_seconds`.

        An answer that takes longer than `longest_seconds` is cut off: nobody may be there to stop it.
        """
        self._longest_seconds = longest_seconds
        self._turns = turns
        self._lease = timedelta(seconds=lease_seconds)
        self._wait_seconds = wait_seconds

    async def stream(self, request: StreamingReq, key: Key, asker: Asker) -> Answer:
        """Return the stream that answers a request, once it has begun.

        Raises KeyReused, Busy (another process is still answering), and what refuses the request.
        """
        async for _ in self._looks():
            answer = await self._look(request, key, asker)
            if answer is not None:
                return answer
        raise Busy("The answer to this message is still being written. Please try again.")

    async def _look(self, request: StreamingReq, key: Key, asker: Asker) -> Answer | None:
        """Return the stream that answers a request; None while somebody else writes it."""
        running = self._turns.answering(asker.owner, key.request_id)
        is_repeated = running is not None
        if running is None:
            running = self._turns.start(self._turn(request, key, asker))
        elif running.keyed is not None and running.keyed.attempt.fingerprint != key.fingerprint:
            raise KeyReused
        try:
            await running.begun()
        except AlreadyAsked as known:
            standing = _checked(known.standing, key)
            if standing.outcome is None:
                return None
            answer = await _stored(standing, asker, request)
            if answer is not None or not await asker.server.store.reopen(standing.id, asker.context):
                return answer
            # At once: as long as nobody takes it, those in whose place it is can be opened again.
            await self._turns.ended(running)
            return await self._look(request, key, asker)
        return Answer(running.read(), is_repeated)

    async def call(self, request: NonStreamingReq, key: Key, asker: Asker) -> bytes:
        """Return the JSON that answers a request. Raises likewise.

        What only reads is answered anew.
        """
        if isinstance(request, _READING):
            return await asker.server.answer(request, asker.context)
        attempt = self._attempt(request, key, asker)
        context = replace(asker.context, attempt=attempt)
        async for _ in self._looks():
            try:
                await asker.server.store.begin_call(context)
            except AlreadyAsked as known:
                standing = _checked(known.standing, key)
                if standing.outcome is not None:
                    return await asker.server.answer_again(request, standing.result, context)
            else:
                return await self._answered(request, attempt, asker._replace(context=context))
        raise Busy("This is being done already. Please try again.")

    async def follow(self, thread_id: str, last_event_id: str | None, asker: Asker) -> Answer | None:
        """Return the answer that is being written in a thread; None when there is none.

        Behind the event with the given id, when that is of an answer that is being written here. One
        that is written by another process comes when it is finished. Raises NotFoundError and Busy.
        """
        store = asker.server.store
        await store.load_thread(thread_id, asker.context)
        request_id = (last_event_id or "").partition(":")[0]
        async for _ in self._looks():
            for turn in self._turns.in_thread(asker.owner, thread_id):
                if _is_written(turn, request_id):
                    return Answer(turn.read(_place(turn, last_event_id)), is_repeated=True)
            standing = (
                await store.request_in(thread_id, request_id, asker.context)
                if request_id
                else await store.running_in(thread_id, asker.context)
            )
            if standing is None:
                return None
            if standing.outcome is not None:
                answer = await _stored(standing, asker)
                if answer is not None:
                    return answer
                anew = await store.running_in(thread_id, asker.context, turn=standing.turn)
                if anew is None:
                    # Whoever was to answer anew has just finished, or is gone.
                    return await _stored(standing, asker)
                standing = anew
            if not standing.is_held:
                return None
            request_id = standing.id
        raise Busy("The answer in this conversation is still being written. Please try again.")

    async def stop(self, thread_id: str, asker: Asker) -> int:
        """Stop the answers that are being written in a thread, and return how many.

        What they said is kept. Those of other processes stop soon; whoever repeats their request
        finds them stopped. Raises NotFoundError.
        """
        store = asker.server.store
        await store.load_thread(thread_id, asker.context)
        here = self._turns.in_thread(asker.owner, thread_id)
        asked = await store.ask_to_stop(thread_id, asker.context)
        await self._turns.stop(here)
        return max(asked, len(here))

    async def _looks(self) -> AsyncIterator[None]:
        """Yield now, and then now and then for as long as a repeat waits."""
        deadline = time.monotonic() + self._wait_seconds
        delay = _FIRST_DELAY
        yield
        while time.monotonic() + delay < deadline:
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            delay = min(delay * 2, _LONGEST_DELAY)
            yield

    def _turn(self, request: StreamingReq, key: Key, asker: Asker) -> RunningTurn:
        attempt = self._attempt(request, key, asker)
        context = replace(asker.context, attempt=attempt)
        return RunningTurn(
            asker.owner,
            _numbered(asker.server.stream(request, context), attempt),
            last_words,
            record=asker.context.record,
            keyed=Keyed(
                attempt,
                asker.context.user_id,
                asker.server.store.leases_expire,
                self._longest_seconds,
                _settling(asker.server, context, attempt),
            ),
        )

    def _attempt(self, request: ChatKitReq, key: Key, asker: Asker) -> Attempt:
        owner = asker.context.user_id
        turn = id_from("turn", owner, key.text)
        named: str = getattr(request.params, "thread_id", "")
        thread_id = named if is_storable(named) else None
        is_message = isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq)
        if isinstance(request, ThreadsCreateReq):
            thread_id = id_from("thread", owner, key.text)
        if is_message:
            turn = id_from("message", owner, key.text)
        elif isinstance(request, ThreadsRetryAfterItemReq) and is_storable(request.params.item_id):
            turn = request.params.item_id
        return Attempt(
            key.request_id,
            key.fingerprint,
            self._lease,
            turn=turn,
            is_message=is_message,
            thread_id=thread_id,
            is_call=not is_streaming_req(request),
        )

    async def _answered(self, request: NonStreamingReq, attempt: Attempt, asker: Asker) -> bytes:
        server, owner, context = asker
        held = Held(context.user_id, attempt.request_id, attempt.holder)
        with self._turns.calling(owner, held, expires=server.store.leases_expire):
            try:
                if attempt.has_input:
                    # Done by an attempt that died before it could say so.
                    answer = await server.answer_again(request, None, context)
                else:
                    answer = await server.answer(request, context)
            except BaseException as error:
                with anyio.CancelScope(shield=True):
                    forget = isinstance(error, Exception) and is_refusal(error)
                    await server.store.release(context, forget=forget)
                raise
            await server.store.finish("done", result_of(request, answer), context)
        return answer


def _checked(standing: Standing, key: Key) -> Standing:
    if standing.fingerprint != key.fingerprint:
        raise KeyReused
    return standing


async def _stored(standing: Standing, asker: Asker, request: StreamingReq | None = None) -> Answer | None:
    """Return the stream of an answer that is finished; None when another request answers the same anew."""
    events = await asker.server.stored_answer(standing, asker.context, request)
    if events is None:
        return None

    async def chunks() -> AsyncIterator[bytes]:
        for event in events:
            yield event
        yield END

    return Answer(chunks(), is_repeated=True)


async def _numbered(chunks: AsyncIterator[bytes], attempt: Attempt) -> AsyncIterator[bytes]:
    """Give each event an id, by which a client that lost its connection goes on behind the last it got."""
    number = 0
    async for chunk in chunks:
        number += 1
        # Another attempt's events are others, in other places.
        yield f"id: {attempt.request_id}:{attempt.number}:{number}\n".encode() + chunk


def _is_written(turn: RunningTurn, request_id: str) -> bool:
    """Tell whether a turn writes an answer, the one to a request when that is named."""
    if turn.keyed is None or not turn.keyed.attempt.is_answering:
        return False
    return request_id in ("", turn.keyed.attempt.request_id)


def _place(turn: RunningTurn, last_event_id: str | None) -> int:
    """Return how many of a turn's events somebody has who names the last of them."""
    answer, _, place = (last_event_id or "").rpartition(":")
    attempt = turn.keyed.attempt if turn.keyed is not None else None
    is_this = attempt is not None and answer == f"{attempt.request_id}:{attempt.number}"
    return int(place) if is_this and place.isdecimal() else 0


def _settling(
    server: HistoryServer, context: ChatContext, attempt: Attempt
) -> Callable[[Ending], Awaitable[bool]]:
    async def settle(ending: Ending) -> bool:
        """Note how the turn ended. Who stops a message that is not even stored has stopped nothing."""
        if not attempt.number:
            return False
        failure = attempt.failure
        if ending == "stopped" and attempt.is_answering:
            return await server.store.finish("stopped", None, context)
        if ending == "done" and (failure is None or not failure.allow_retry):
            result = failure.model_dump_json() if failure is not None else None
            return await server.store.finish("done", result, context)
        await server.store.release(context, forget=ending == "refused")
        return False

    return settle
