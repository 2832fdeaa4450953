"""The ChatKit server: the SDK's protocol, with this project's rules on top."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime
from typing import Any

import anyio
from chatkit.actions import Action
from chatkit.server import DEFAULT_PAGE_SIZE, ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
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
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
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
from app.errors import Conflict, InvalidRequest, NotSupported
from app.files.store import FileStore
from app.stores import ChatStore
from app.stores.ids import id_kind

_MOST_FILES = 20


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
        body = request.encode() if isinstance(request, str) else bytes(request)
        parsed: ChatKitReq = parse_request(body)
        check_sizes(parsed, max_message_bytes=self._max_message_bytes)
        if is_streaming_req(parsed):
            return StreamingResult(self._process_streaming(parsed, context))
        try:
            return NonStreamingResult(await self._process_non_streaming(parsed, context))
        except ValueError as error:
            raise refusal_of(parsed, error) from error

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
        hidden = (HiddenContextItem, SDKHiddenContextItem)
        page.data = [
            await self._given_out(item, context) for item in page.data if not isinstance(item, hidden)
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
        attachments = await self._sendable(list(dict.fromkeys(input.attachments)), context)
        words = input.model_copy(update={"attachments": []})
        item = await super()._build_user_message_item(words, thread, context)
        item.attachments = [file.model_copy(update={"thread_id": thread.id}) for file in attachments]
        return item

    async def _sendable(self, attachment_ids: list[str], context: ChatContext) -> list[Attachment]:
        """Return attachments that a message may carry: the owner's own, whole, and of no other message."""
        if len(attachment_ids) > _MOST_FILES:
            raise InvalidRequest(f"A message can carry at most {_MOST_FILES} files.")
        found = [await self.files.load(attachment_id, context) for attachment_id in attachment_ids]
        for file in found:
            file.check_sendable()
        return [file.attachment for file in found]

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: ChatContext
    ) -> None:
        """Keep what was shown so far, in its order, and what the responder noted; mark the stop.

        The SDK itself keeps the words of messages only.
        """
        with anyio.CancelScope(shield=True):
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
                if isinstance(event, ErrorEvent) and event.message is None:
                    event.message = FAILED
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
            case _:
                return self._go_on(request, context)

    async def _create(
        self, request: ThreadsCreateReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        message = request.params.input
        thread = Thread(
            id=self.store.generate_thread_id(context),
            title=title_from(message),
            created_at=datetime.now(),  # noqa: DTZ005 - the SDK's own, naive local time
            items=Page(),
        )
        # Loads the attachments it names: one that cannot be sent is refused before there is a thread.
        item = await self._build_user_message_item(message, thread, context)
        await self.store.save_thread(thread, context=context)
        yield ThreadCreatedEvent(thread=self._to_thread_response(thread))
        async for event in self._process_new_thread_item_respond(thread, item, context):
            yield event

    async def _add_message(
        self, request: ThreadsAddUserMessageReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        thread = await self.store.load_thread(request.params.thread_id, context=context)
        check_open(thread)
        item = await self._build_user_message_item(request.params.input, thread, context)
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
        thread = await self.store.load_thread(thread_id, context=context)
        check_open(thread)
        message = await self.store.load_item(thread_id, item_id, context=context)
        if not isinstance(message, UserMessageItem):
            raise Conflict("Only a message of yours can be answered again.")
        await self.store.delete_items_after(thread_id, item_id, context)
        async for event in self._process_events(
            thread, context, lambda: self.respond(thread, message, context)
        ):
            yield event

    async def _go_on(self, request: StreamingReq, context: ChatContext) -> AsyncIterator[ThreadStreamEvent]:
        thread = await self.store.load_thread(request.params.thread_id, context=context)  # type: ignore[union-attr]  # all but threads.create name one
        check_open(thread)
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
