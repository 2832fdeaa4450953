"""What each request does that is answered by a stream, up to where something answers it."""

from collections.abc import AsyncIterator
from datetime import datetime

from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    Page,
    StreamingReq,
    StructuredInputItem,
    Thread,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
)

from app.chat.admission import check_open, title_from
from app.chat.context import ChatContext
from app.errors import Busy, Conflict, InvalidRequest, NotSupported
from app.files.store import FileStore
from app.stores import ChatStore
from app.stores.attempts import Attempt

ONLY_LAST = "only_last"
"""In a request's metadata: a message is answered again only while no other one stands behind it."""

_MOST_FILES = 20
_NEAR = 100


class StreamingRequests(ChatKitServer[ChatContext]):
    """The part of the server that takes a message, a tool's output, a filled form or an action.

    A request that carries an idempotency key may come again when an earlier attempt died somewhere
    on the way: what that one stored is found, and what it left of its answer is removed.
    """

    store: ChatStore[ChatContext]

    def __init__(self, store: ChatStore[ChatContext], files: FileStore[ChatContext] | None) -> None:
        super().__init__(store, files)
        self._files = files

    @property
    def files(self) -> FileStore[ChatContext]:
        """The attachments of this server's store. Raises NotSupported when none are taken."""
        if self._files is None:
            raise NotSupported("This server does not take attachments.")
        return self._files

    def _get_attachment_store(self) -> AttachmentStore[ChatContext]:
        return self.files

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
        context.record.thread_id = thread.id
        if attempt is not None and message.attachments:
            # Of a message that was sent before the files are not free any more, or gone with it.
            await self.store.find_request(context)
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
        """Return the item of a new message, which an earlier attempt may have stored.

        Raises NotFoundError when one has, and the message was deleted since.
        """
        attempt = context.attempt
        if attempt is not None and attempt.has_input:
            item = await self.store.load_item(thread.id, attempt.turn, context=context)
            if isinstance(item, UserMessageItem):
                return item
        return await self._build_user_message_item(message, thread, context)

    async def _add_message(
        self, request: ThreadsAddUserMessageReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        thread_id, message = request.params.thread_id, request.params.input
        if context.attempt is None and not message.attachments:
            thread, item = await self._append(thread_id, message, context)
            # Told at once: what fails from here on is no reason to send it again.
            yield ThreadItemDoneEvent(item=item)
            await self._name(thread, message, context)
            answer = self._process_events(thread, context, lambda: self.respond(thread, item, context))
        else:
            thread = await self._enter(thread_id, context)
            item = await self._message(message, thread, context)
            await self._name(thread, message, context)
            answer = self._process_new_thread_item_respond(thread, item, context)
        async for event in answer:
            yield event

    async def _name(self, thread: ThreadMetadata, message: UserMessageInput, context: ChatContext) -> None:
        """Call a thread that has no title by a message's first words."""
        if thread.title is None and (title := title_from(message)):
            thread.title = title
            await self.store.save_thread(thread, context=context)

    async def _append(
        self, thread_id: str, message: UserMessageInput, context: ChatContext
    ) -> tuple[ThreadMetadata, UserMessageItem]:
        """Store a message and load its thread in one round trip: the first word comes by that much sooner."""
        somewhere = ThreadMetadata(id=thread_id, created_at=datetime.now())  # noqa: DTZ005 - as above
        item = await self._build_user_message_item(message, somewhere, context)
        thread = await self.store.add_message(thread_id, item, context)
        check_open(thread)
        return thread, item

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
        if request.metadata.get(ONLY_LAST) is True and not _is_again(context):
            await self._check_last(thread_id, message, context)
        await self.store.begin_anew(thread_id, item_id, context)
        async for event in self._process_events(
            thread, context, lambda: self.respond(thread, message, context)
        ):
            yield event

    async def _check_last(self, thread_id: str, message: UserMessageItem, context: ChatContext) -> None:
        """Refuse to answer a message again behind which another one stands. Raises Conflict.

        A keyed request is held by now, and deletes nothing that comes after that: what is said while
        this looks is kept, whether it is seen or not.
        """
        newest = await self.store.load_thread_items(thread_id, None, _NEAR, "desc", context)
        last = next((item for item in newest.data if isinstance(item, UserMessageItem)), message)
        if last.id != message.id:
            raise Conflict("More was said after this message, so it is not answered again.")

    async def _tool_output(
        self, request: ThreadsAddClientToolOutputReq, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Note what the browser's tool returned, and go on. An earlier attempt may have noted it."""
        thread = await self._enter(request.params.thread_id, context)
        # Behind a call that an earlier attempt has seen other messages may stand by now.
        near = _NEAR if _is_again(context) else 1
        items = (await self.store.load_thread_items(thread.id, None, near, "desc", context)).data
        call = next((item for item in items if isinstance(item, ClientToolCallItem)), None)
        result = request.params.result
        if call is None:
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


def _is_again(context: ChatContext) -> bool:
    """Tell whether this attempt goes on where an earlier one of the same request ended."""
    return context.attempt is not None and context.attempt.number > 1
