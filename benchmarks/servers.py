"""What serves the turns: the SDK's way, and the same written out by hand."""

from collections.abc import AsyncIterator
from datetime import datetime

from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import (
    ChatKitReq,
    Page,
    StreamOptions,
    StreamOptionsEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadStreamEvent,
    UserMessageItem,
)
from pydantic import TypeAdapter

from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.server import HistoryServer
from app.stores import ChatStore
from app.stores.ids import new_id
from benchmarks.crowd import Serve
from benchmarks.floor import FloorStore
from benchmarks.stock import echo

_REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)


def history(store: ChatStore[ChatContext]) -> Serve:
    """Return what a route does with our server over a store."""
    return sdk(HistoryServer(store, EchoResponder(), max_message_bytes=32 * 1024))


def sdk(server: ChatKitServer[ChatContext]) -> Serve:
    """Return what a route does with an SDK's server."""

    async def serve(body: bytes, context: ChatContext) -> AsyncIterator[bytes]:
        result = await server.process(body, context)
        assert isinstance(result, StreamingResult)
        async for chunk in result:
            yield chunk

    return serve


def by_hand(store: FloorStore) -> Serve:
    """Return a turn written out: the same statements, the same events."""

    async def serve(body: bytes, context: ChatContext) -> AsyncIterator[bytes]:
        request = _REQUEST.validate_json(body)
        now = datetime.now()  # noqa: DTZ005 - the SDK's own, naive local time
        assert isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq)
        sent = request.params.input
        message = UserMessageItem(
            id=new_id("message"),
            thread_id=new_id("thread") if isinstance(request, ThreadsCreateReq) else request.params.thread_id,
            created_at=now,
            content=sent.content,
            attachments=[],
            quoted_text=sent.quoted_text,
            inference_options=sent.inference_options,
        )
        thread: ThreadMetadata
        if isinstance(request, ThreadsCreateReq):
            thread = Thread(id=message.thread_id, created_at=now, items=Page())
            await store.insert_thread(context.user_id, thread)
            yield _event(ThreadCreatedEvent(thread=thread))
            await store.put_item(context.user_id, thread.id, message)
        else:
            thread = await store.add_message(context.user_id, message.thread_id, message)
        yield _event(ThreadItemDoneEvent(item=message))
        yield _event(StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=True)))
        for event in echo(thread.id, new_id("message"), message):
            if isinstance(event, ThreadItemDoneEvent):
                await store.put_item(context.user_id, thread.id, event.item)
            yield _event(event)

    return serve


def _event(event: ThreadStreamEvent) -> bytes:
    text = event.model_dump_json(by_alias=True, exclude_none=True, context={"exclude_metadata": True})
    return b"data: " + text.encode() + b"\n\n"
