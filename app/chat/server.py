"""The ChatKit server: the SDK's protocol, with this project's rules on top."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import anyio
from chatkit.actions import Action
from chatkit.server import DEFAULT_PAGE_SIZE, ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import AttachmentStore, NotFoundError
from chatkit.types import (
    Attachment,
    AttachmentsCreateReq,
    AudioInput,
    ChatKitReq,
    ClientToolCallItem,
    ErrorEvent,
    FeedbackKind,
    HiddenContextItem,
    ItemsListReq,
    NonStreamingReq,
    Page,
    SDKHiddenContextItem,
    StreamingReq,
    StructuredInputItem,
    SyncCustomActionResponse,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    TranscriptionResult,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)

from app.chat.admission import check_open, check_sizes, parse_request, title_from
from app.chat.context import ChatContext
from app.chat.failures import FAILED, readable, refusal_of
from app.chat.item_ids import own_ids
from app.chat.pending import apply_update, finishing, shows_something
from app.chat.responder import Responder, Turn
from app.errors import Busy, Conflict, InvalidRequest, LeaseLost, NotSupported
from app.files.store import FileStore
from app.repositories.requests import Standing
from app.stores import ChatStore
from app.stores.attempts import Attempt
from app.stores.ids import id_kind

_MOST_FILES = 20
_HIDDEN = (HiddenContextItem, SDKHiddenContextItem)


class HistoryServer(ChatKitServer[ChatContext]):
    """Serves all requests of the ChatKit protocol for one store and one responder.

    Requests are refused with a ChatHistoryError or NotFoundError before anything is stored for
    them. Once a stream has begun, failures are error events in it.
    """

    store: ChatStore[ChatContext]

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
        self._files = files
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
    ) -> AsyncIterator[bytes]:
        """Return the events of an answer that was stored, of the given request when that is known."""
        assert standing.thread_id is not None  # noqa: S101 - every turn is in one
        assert standing.turn is not None  # noqa: S101 - likewise
        thread = await self.store.load_thread(standing.thread_id, context=context)
        shown = self._to_thread_response(thread)
        events: list[ThreadStreamEvent] = [
            ThreadCreatedEvent(thread=shown)
            if isinstance(request, ThreadsCreateReq)
            else ThreadUpdatedEvent(thread=shown)
        ]
        if isinstance(request, ThreadsAddStructuredInputReq):
            form = await self.store.load_item(thread.id, request.params.item_id, context=context)
            events.append(ThreadItemReplacedEvent(item=form))
        items = await self.store.turn_items(thread.id, standing.turn, standing.since, context)
        events += [
            ThreadItemDoneEvent(item=await self._given_out(item, context))
            for item in items
            if not isinstance(item, _HIDDEN)
        ]
        for event in events:
            yield b"data: " + self._serialize(event) + b"\n\n"

    async def offered_again(self, answer: str, context: ChatContext) -> bytes:
        """Return the answer to an upload that was begun before, with a link that works now."""
        attachment_id = json.loads(answer)["id"]
        return self._serialize(await self.files.offered(attachment_id, context))

    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let the responder answer."""
        return self._responder.respond(Turn(thread, self.store, context), input_user_message)

    def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: ChatContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let the responder act."""
        return self._responder.act(Turn(thread, self.store, context), action, sender)

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: ChatContext,
    ) -> SyncCustomActionResponse:
        """Let the responder act; the item it updates is stored."""
        result = await self._responder.act_at_once(Turn(thread, self.store, context), action, sender)
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

    @property
    def files(self) -> FileStore[ChatContext]:
        """The attachments of this server's store. Raises NotSupported when none are taken."""
        if self._files is None:
            raise NotSupported("This server does not take attachments.")
        return self._files

    def _get_attachment_store(self) -> AttachmentStore[ChatContext]:
        return self.files

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

    async def _build_user_message_item(
        self,
        input: UserMessageInput,  # noqa: A002 - the SDK's name
        thread: ThreadMetadata,
        context: ChatContext,
    ) -> UserMessageItem:
        attempt = context.attempt
        message_id = attempt.turn if attempt is not None and attempt.is_message else None
        attachments = await self._sendable(list(dict.fromkeys(input.attachments)), message_id, context)
        words = input.model_copy(update={"attachments": []})
        item = await super()._build_user_message_item(words, thread, context)
        item.id = message_id or item.id
        item.attachments = [file.model_copy(update={"thread_id": thread.id}) for file in attachments]
        return item

    async def _sendable(
        self, attachment_ids: list[str], message_id: str | None, context: ChatContext
    ) -> list[Attachment]:
        """Return attachments that a message may carry: the owner's own, whole, and of no other message."""
        if len(attachment_ids) > _MOST_FILES:
            raise InvalidRequest(f"A message can carry at most {_MOST_FILES} files.")
        found = [await self.files.load(attachment_id, context) for attachment_id in attachment_ids]
        for file in found:
            file.check_sendable(message_id)
        return [file.attachment for file in found]

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
                if isinstance(event, ErrorEvent):
                    event.message = event.message or FAILED
                    if context.attempt is not None:
                        context.attempt.failed = True
                if isinstance(event, ThreadItemDoneEvent):
                    # Another event: the SDK goes on to work with the item of this one.
                    yield ThreadItemDoneEvent(item=await self._given_out(event.item, context))
                else:
                    yield event
        except ValueError as error:
            raise refusal_of(request, error) from error

    def _events_of(self, request: StreamingReq, context: ChatContext) -> AsyncIterator[ThreadStreamEvent]:
        match request:
            case ThreadsCreateReq():
                return self._create(request, context)
            case ThreadsAddUserMessageReq():
                return self._add_message(request, context)
            case ThreadsRetryAfterItemReq():
                return self._retry(request, context)
            case ThreadsAddClientToolOutputReq():
                return self._tool_output(request, context)
            case ThreadsAddStructuredInputReq():
                return self._structured_input(request, context)
            case _:
                return self._act(request, context)

    async def _create(
        self, request: ThreadsCreateReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        message, attempt = request.params.input, context.attempt
        thread = Thread(
            id=(attempt and attempt.thread_id) or self.store.generate_thread_id(context),
            title=title_from(message),
            created_at=datetime.now(),  # noqa: DTZ005 - the SDK's own, naive local time
            items=Page(),
        )
        # Loads the attachments it names: one that cannot be sent is refused before there is a thread.
        item = await self._build_user_message_item(message, thread, context)
        if attempt is None:
            await self.store.save_thread(thread, context=context)
        else:
            await self.store.begin_thread(thread, context)
            if attempt.number > 1:
                thread = await self._thread_of(attempt, context)
                item = await self._message(message, thread, context)
        yield ThreadCreatedEvent(thread=self._to_thread_response(thread))
        async for event in self._process_new_thread_item_respond(thread, item, context):
            yield event

    async def _thread_of(self, attempt: Attempt, context: ChatContext) -> Thread:
        """Return the thread that an earlier attempt began, without what it left of its answer."""
        assert attempt.thread_id is not None  # noqa: S101 - it begins a thread, so it has an id for it
        thread = await self.store.load_thread(attempt.thread_id, context=context)
        await self.store.clear_turn(thread.id, context)
        return Thread(**thread.model_dump(), items=Page())

    async def _enter(self, thread_id: str, context: ChatContext) -> ThreadMetadata:
        """Return the thread that a request goes on with. Raises Conflict when it is not open.

        A keyed request is held from here on, and what earlier attempts left of its answer is gone.
        """
        attempt = context.attempt
        if attempt is None:
            thread = await self.store.load_thread(thread_id, context=context)
            check_open(thread)
            return thread
        thread = await self.store.begin_turn(thread_id, context)
        if not attempt.number:
            check_open(thread)
            raise Busy("This message is being taken by another request of yours. Please try again.")
        if attempt.number > 1:
            await self.store.clear_turn(thread.id, context)
        return thread

    async def _message(
        self, message: UserMessageInput, thread: ThreadMetadata, context: ChatContext
    ) -> UserMessageItem:
        """Return the item of a new message, which an earlier attempt may have stored."""
        attempt = context.attempt
        if attempt is not None and attempt.number > 1:
            with suppress(NotFoundError):
                item = await self.store.load_item(thread.id, attempt.turn, context=context)
                if isinstance(item, UserMessageItem):
                    return item
        return await self._build_user_message_item(message, thread, context)

    async def _add_message(
        self, request: ThreadsAddUserMessageReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        thread = await self._enter(request.params.thread_id, context)
        item = await self._message(request.params.input, thread, context)
        if thread.title is None and (title := title_from(request.params.input)):
            thread.title = title
            await self.store.save_thread(thread, context=context)
        async for event in self._process_new_thread_item_respond(thread, item, context):
            yield event

    async def _retry(
        self, request: ThreadsRetryAfterItemReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer a message again, with everything behind it removed in one step.

        The SDK removes item by item, and ends without a word when there is no such message.
        """
        thread_id, item_id = request.params.thread_id, request.params.item_id
        thread = await self._enter(thread_id, context)
        message = await self.store.load_item(thread_id, item_id, context=context)
        if not isinstance(message, UserMessageItem):
            raise Conflict("Only a message of yours can be answered again.")
        await self.store.delete_items_after(thread_id, item_id, context)
        async for event in self._process_events(
            thread, context, lambda: self.respond(thread, message, context)
        ):
            yield event

    async def _tool_output(
        self, request: ThreadsAddClientToolOutputReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Note what the browser's tool returned, and go on. An earlier attempt may have noted it."""
        thread = await self._enter(request.params.thread_id, context)
        last = (await self.store.load_thread_items(thread.id, None, 1, "desc", context)).data
        call = last[0] if last else None
        result = request.params.result
        if not isinstance(call, ClientToolCallItem):
            raise ValueError("The last item of the thread is not a client tool call")
        if call.status == "pending":
            call.output, call.status = result, "completed"
            await self.store.save_item(thread.id, call, context=context)
            await self._cleanup_pending_client_tool_call(thread, context)
        elif not (_is_again(context) and call.output == result):
            raise ValueError("The client tool call is not pending")
        async for event in self._process_events(thread, context, lambda: self.respond(thread, None, context)):
            yield event

    async def _structured_input(
        self, request: ThreadsAddStructuredInputReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Note what was filled in, and go on. An earlier attempt may have noted it."""
        thread = await self._enter(request.params.thread_id, context)
        form = await self.store.load_item(thread.id, request.params.item_id, context=context)
        if not isinstance(form, StructuredInputItem):
            raise ValueError("The item is not a form")
        if form.status == "pending" or not _is_again(context):
            form = await self._apply_structured_input_submission(form, request.params.input)
        filled = form

        async def events() -> AsyncIterator[ThreadStreamEvent]:
            # Inside of what is processed, so that it is stored like everything else.
            yield ThreadItemReplacedEvent(item=filled)
            async for event in self.respond(thread, None, context):
                yield event

        async for event in self._process_events(thread, context, events):
            yield event

    async def _act(self, request: StreamingReq, context: ChatContext) -> AsyncIterator[ThreadStreamEvent]:
        await self._enter(request.params.thread_id, context)  # type: ignore[union-attr]  # all but threads.create name one
        async for event in super()._process_streaming_impl(request, context):
            yield event

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


def _is_again(context: ChatContext) -> bool:
    """Tell whether this attempt goes on where an earlier one of the same request ended."""
    return context.attempt is not None and context.attempt.number > 1
