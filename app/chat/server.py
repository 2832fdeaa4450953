"""The ChatKit server: the SDK's protocol, with this project's rules on top."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from itertools import takewhile
from typing import Any

import anyio
from chatkit.actions import Action
from chatkit.server import DEFAULT_PAGE_SIZE, NonStreamingResult, StreamingResult
from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    AttachmentsCreateReq,
    AudioInput,
    ChatKitReq,
    ErrorEvent,
    FeedbackKind,
    HiddenContextItem,
    ItemsListReq,
    NonStreamingReq,
    Page,
    SDKHiddenContextItem,
    StreamingReq,
    SyncCustomActionResponse,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddStructuredInputReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    ThreadUpdatedEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)

from app.chat.admission import check_sizes, parse_request
from app.chat.context import ChatContext
from app.chat.failures import FAILED, readable, refusal_of
from app.chat.item_ids import own_ids
from app.chat.pending import apply_update, finishing, shows_something
from app.chat.responder import Responder, Turn
from app.chat.streaming import StreamingRequests
from app.errors import LeaseLost, NotSupported
from app.files.store import FileStore
from app.repositories.requests import Standing
from app.stores import ChatStore
from app.stores.ids import id_kind

_NEAR = 20
_HIDDEN = (HiddenContextItem, SDKHiddenContextItem)


class HistoryServer(StreamingRequests):
    """Serves all requests of the ChatKit protocol for one store and one responder.

    Requests are refused with a ChatHistoryError or NotFoundError before anything is stored for
    them. Once a stream has begun, failures are error events in it.
    """

    def __init__(
        self,
        store: ChatStore[ChatContext],
        responder: Responder,
        *,
        max_message_bytes: int,
        files: FileStore[ChatContext] | None = None,
    ) -> None:
        """Serve the conversations of a store. Without `files`, attachments are refused."""
        super().__init__(store, files)
        self._responder = responder
        self._max_message_bytes = max_message_bytes

    async def process(
        self, request: str | bytes | bytearray, context: ChatContext
    ) -> StreamingResult | NonStreamingResult:
        """Parse a request and begin to serve it; a stream does nothing until it is iterated."""
        parsed = self.admit(request.encode() if isinstance(request, str) else bytes(request))
        if is_streaming_req(parsed):
            return StreamingResult(self.stream(parsed, context))
        return NonStreamingResult(await self.answer(parsed, context))

    def admit(self, body: bytes) -> ChatKitReq:
        """Parse a request. Raises InvalidRequest, and TooLarge for a message that is too long."""
        request = parse_request(body)
        check_sizes(request, max_message_bytes=self._max_message_bytes)
        return request

    async def stream(self, request: StreamingReq, context: ChatContext) -> AsyncGenerator[bytes, None]:
        """Return the events that answer a request; nothing is done until they are iterated."""
        async for event in self._process_streaming_impl(request, context):
            yield b"data: " + self._serialize(event) + b"\n\n"

    async def answer(self, request: NonStreamingReq, context: ChatContext) -> bytes:
        """Do what a request asks for, and return the JSON that answers it."""
        try:
            return await self._process_non_streaming(request, context)
        except ValueError as error:
            raise refusal_of(request, error) from error

    async def stored_answer(
        self, standing: Standing, context: ChatContext, request: StreamingReq | None = None
    ) -> list[bytes] | None:
        """Return the events of an answer that was stored, of the given request when that is known.

        None when another request is to answer the same anew, and has not. Raises NotFoundError when its
        thread is gone.
        """
        assert standing.thread_id is not None  # noqa: S101 - every turn is in one
        assert standing.turn is not None  # noqa: S101 - likewise
        items = await self.store.turn_items(standing, context)
        if items is None:
            return None
        thread = await self.store.load_thread(standing.thread_id, context=context)
        shown = self._to_thread_response(thread)
        events: list[ThreadStreamEvent] = [
            ThreadCreatedEvent(thread=shown)
            if isinstance(request, ThreadsCreateReq)
            else ThreadUpdatedEvent(thread=shown)
        ]
        if (
            isinstance(request, ThreadsAddStructuredInputReq | ThreadsCustomActionReq)
            and request.params.item_id
        ):
            with suppress(NotFoundError):
                sender = await self.store.load_item(thread.id, request.params.item_id, context=context)
                events.append(ThreadItemReplacedEvent(item=sender))
        if all(item.id == standing.turn for item in items):
            behind = await self._answered_without_key(thread.id, standing.turn, context)
            now = await self.store.turn_items(standing, context) if behind else items
            if now is None or len(now) != len(items):
                # With a key, after all, and since then: what stands there may not be all of it.
                return None
            items += behind
        events += [
            ThreadItemDoneEvent(item=await self._given_out(item, context))
            for item in items
            if not isinstance(item, _HIDDEN)
        ]
        if standing.result is not None:
            events.append(ErrorEvent.model_validate_json(standing.result))
        return [b"data: " + self._serialize(event) + b"\n\n" for event in events]

    async def _answered_without_key(
        self, thread_id: str, message_id: str, context: ChatContext
    ) -> list[ThreadItem]:
        """Return what stands behind a message: a request without a key marks nothing of what it adds."""
        try:
            behind = await self.store.load_thread_items(thread_id, message_id, _NEAR, "asc", context)
        except NotFoundError:
            # Deleted; or it is the turn of a request that is about no message.
            return []
        return list(takewhile(lambda item: not isinstance(item, UserMessageItem), behind.data))

    async def answer_again(self, request: NonStreamingReq, result: str | None, context: ChatContext) -> bytes:
        """Return the JSON that answers a request which was done before, from what is stored now.

        `result` is what `result_of` returned for it. Raises NotFoundError for what is gone.
        """
        match request:
            case ThreadsUpdateReq(params=asked):
                thread = await self.store.load_thread(asked.thread_id, context=context)
                return self._serialize(self._to_thread_response(thread))
            case ThreadsSyncCustomActionReq(params=acted):
                item_id = result or acted.item_id
                item = await self.store.load_item(acted.thread_id, item_id, context) if item_id else None
                return self._serialize(SyncCustomActionResponse(updated_item=item))
            case AttachmentsCreateReq() if result is not None:
                # The link that was given may be too old by now.
                return self._serialize(await self.files.offered(result, context))
            case _:
                return b"{}"

    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let the responder answer."""
        _note_answering(context)
        return self._responder.respond(Turn(thread, self.store, context, self._files), input_user_message)

    def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: ChatContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let the responder act."""
        _note_answering(context)
        return self._responder.act(Turn(thread, self.store, context, self._files), action, sender)

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: ChatContext,
    ) -> SyncCustomActionResponse:
        """Let the responder act; the item it updates is stored."""
        result = await self._responder.act_at_once(
            Turn(thread, self.store, context, self._files), action, sender
        )
        if result.updated_item is not None:
            await self.store.save_item(thread.id, result.updated_item, context=context)
        return result

    async def item_page(
        self, thread_id: str, after: str | None, limit: int, order: str, context: ChatContext
    ) -> Page[ThreadItem]:
        """Return a page of a thread without the items that are for the model only.

        Pictures in it have links that work for a while from now.
        """
        page = await self.store.load_thread_items(thread_id, after, limit, order, context)
        page.data = [
            await self._given_out(item, context) for item in page.data if not isinstance(item, _HIDDEN)
        ]
        return page

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: ChatContext
    ) -> None:
        """Store what the owner thinks of some items."""
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    async def transcribe(self, audio_input: AudioInput, context: ChatContext) -> TranscriptionResult:
        """Refuse: nothing here understands speech."""
        raise NotSupported("This server does not transcribe speech. Please type your message.")

    async def _given_out(self, item: ThreadItem, context: ChatContext) -> ThreadItem:
        """Return an item with links that work now. The stored one has none, and stays as it is."""
        if self._files is None or not isinstance(item, UserMessageItem) or not item.attachments:
            return item
        linked = [await self._files.with_links(attachment, context) for attachment in item.attachments]
        return item.model_copy(update={"attachments": linked})

    async def _load_full_thread(self, thread_id: str, context: ChatContext) -> Thread:
        thread = await self.store.load_thread(thread_id, context=context)
        items = await self.item_page(thread_id, None, DEFAULT_PAGE_SIZE, "asc", context)
        return Thread(**thread.model_dump(), items=items)

    async def _process_non_streaming(self, request: NonStreamingReq, context: ChatContext) -> bytes:
        match request:
            case AttachmentsCreateReq():
                # The SDK would store it once more, with the links.
                return self._serialize(await self.files.create_attachment(request.params, context))
            case ItemsListReq(params=asked):
                limit = asked.limit or DEFAULT_PAGE_SIZE
                page = await self.item_page(asked.thread_id, asked.after, limit, asked.order, context)
                return self._serialize(page)
            case _:
                return await super()._process_non_streaming(request, context)

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: ChatContext
    ) -> None:
        """Keep what was shown so far, in its order, and what the responder noted; mark the stop.

        The SDK itself keeps the words of messages only.
        """
        # Without the lease another attempt answers, and this one has nothing to add.
        with anyio.CancelScope(shield=True), suppress(LeaseLost):
            for item in pending_items:
                if shows_something(item):
                    await self.store.add_thread_item(thread.id, item, context=context)
            await self.store.save_thread(thread, context=context)
            await super().handle_stream_cancelled(thread, [], context)

    def _update_pending_items(
        self, pending_items: dict[str, ThreadItem], event: ThreadItemUpdatedEvent
    ) -> None:
        if not apply_update(pending_items, event):
            super()._update_pending_items(pending_items, event)

    async def _process_streaming_impl(
        self, request: StreamingReq, context: ChatContext
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        try:
            async for event in self._events_of(request, context):
                _note(event, context)
                if isinstance(event, ThreadItemDoneEvent):
                    # Another event: the SDK goes on to work with the item of this one.
                    yield ThreadItemDoneEvent(item=await self._given_out(event.item, context))
                else:
                    yield event
        except ValueError as error:
            raise refusal_of(request, error) from error

    async def _process_events(
        self,
        thread: ThreadMetadata,
        context: ChatContext,
        stream: Callable[[], AsyncIterator[ThreadStreamEvent]],
    ) -> AsyncIterator[ThreadStreamEvent]:
        def new_id(item_type: str) -> str:
            return self.store.generate_item_id(id_kind(item_type), thread, context)

        async for event in super()._process_events(
            thread,
            context,
            lambda: readable(lambda: finishing(own_ids(stream(), new_id), self._update_pending_items)),
        ):
            yield event


def result_of(request: NonStreamingReq, answer: bytes) -> str | None:
    """Return the id by which a request's answer is found again, None when the request has it."""
    match request:
        case AttachmentsCreateReq():
            return str(json.loads(answer)["id"])
        case ThreadsSyncCustomActionReq():
            updated = json.loads(answer).get("updated_item")
            return str(updated["id"]) if updated else None
        case _:
            return None


def _note(event: ThreadStreamEvent, context: ChatContext) -> None:
    """Note what an event says of how its request goes."""
    match event:
        case ErrorEvent():
            event.message = event.message or FAILED
            context.record.failed = True
            if context.attempt is not None:
                context.attempt.failure = event
        case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta()):
            context.record.note_word()
        case _:
            pass


def _note_answering(context: ChatContext) -> None:
    """Note that what the request asks for is stored: from here on stopping means keeping what is said."""
    if context.attempt is not None:
        context.attempt.is_answering = True
