"""What every release does when it is recorded: a conversation through its Store, and reading it back.

It runs inside checkouts of older releases, so it uses what they have: ChatKit's port, and for the later
parts what came with a revision. Ids and times are fixed, so that two releases write the same.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    InferenceOptions,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456)  # noqa: DTZ001 - ChatKit's own times are naive.
THREADS = ("thr_kept", "thr_files", "thr_keyed")
FILE = "atc_picture"


@dataclass(frozen=True)
class Context:
    """Whose conversation it is, and the keyed request that a call is part of."""

    user_id: str
    attempt: Any = None


Part = Callable[[Any, Context], Awaitable[None]]


def thread(key: str) -> ThreadMetadata:
    """Return a new thread."""
    return ThreadMetadata(id=key, created_at=NOW, metadata={"from": "the recording"})


def question(key: str, of: str, text: str, files: tuple[Any, ...] = ()) -> UserMessageItem:
    """Return what a user said."""
    return UserMessageItem(
        id=key,
        thread_id=of,
        created_at=NOW,
        content=[UserMessageTextContent(text=text)],
        attachments=list(files),
        inference_options=InferenceOptions(),
    )


def answer(key: str, of: str, text: str) -> AssistantMessageItem:
    """Return what was answered."""
    return AssistantMessageItem(
        id=key, thread_id=of, created_at=NOW, content=[AssistantMessageContent(text=text)]
    )


async def port(store: Any, me: Context) -> None:
    """Use every method of ChatKit's port."""
    kept, gone = thread(THREADS[0]), thread("thr_deleted")
    await store.save_thread(kept, me)
    await store.save_thread(gone, me)
    for number in range(6):
        await store.add_thread_item(kept.id, question(f"msg_{number}", kept.id, f"Äpfel? {number}"), me)
    await store.add_thread_item(gone.id, question("msg_0", gone.id, "soon deleted"), me)
    kept.title = "Named later"
    kept.metadata["more"] = {"deep": [1, 1e23]}
    await store.save_thread(kept, me)
    await store.save_item(kept.id, answer("msg_1", kept.id, "replaced in its place"), me)
    await store.save_feedback(kept.id, ["msg_1"], "positive", me)
    await store.delete_thread_item(kept.id, "msg_2", me)
    await store.delete_items_after(kept.id, "msg_4", me)
    with suppress(NotFoundError):
        await store.add_thread_item("thr_missing", answer("msg_0", "thr_missing", "nowhere"), me)
    await store.delete_thread(gone.id, me)
    file = FileAttachment(id=FILE, name="apple.txt", mime_type="text/plain")
    await store.save_attachment(file, me)
    with_file = thread(THREADS[1])
    await store.save_thread(with_file, me)
    await store.add_thread_item(
        with_file.id, question("msg_file", with_file.id, "Look", (await store.load_attachment(FILE, me),)), me
    )
    await store.save_attachment(FileAttachment(id="atc_gone", name="gone", mime_type="text/plain"), me)
    await store.delete_attachment("atc_gone", me)


async def owners(store: Any, me: Context) -> None:
    """Rename, take over what a visitor said, forget somebody."""
    await store.rename_thread(THREADS[1], "With a file", me)
    visitor, nobody = replace(me, user_id=f"visitor:{me.user_id}"), replace(me, user_id=f"gone:{me.user_id}")
    for other in (visitor, nobody):
        await store.save_thread(thread("thr_visitor"), other)
        await store.add_thread_item("thr_visitor", question("msg_0", "thr_visitor", "Who am I?"), other)
    await store.claim(visitor, me)
    await store.delete_everything(nobody)
    await store.load_summary("thr_visitor", me)
    for order in ("asc", "desc"):
        page = await store.load_summaries(2, None, order, me)
        await store.load_summaries(2, page.after, order, me)
    file = FileAttachment(id="atc_bytes", name="bytes", mime_type="text/plain")
    await store.save_attachment(file, me)
    await store.announce_files(["recorded-bytes"], me)
    await store.complete_file(file, file_key="recorded-bytes", size=5, context=me)
    await store.load_file(file.id, me)
    await store.delete_thread("thr_visitor", me)


async def keyed(store: Any, me: Context) -> None:
    """Answer requests that may be sent again."""
    from app.stores.attempts import Attempt  # the oldest releases have none

    def asked(name: str, of: str) -> Context:
        attempt = Attempt(
            f"req_{name}", "f", timedelta(minutes=5), f"msg_{name}", True, of, holder=f"h_{name}"
        )
        return replace(me, attempt=attempt)

    first, second = asked("first", THREADS[2]), asked("second", THREADS[2])
    await store.begin_thread(thread(THREADS[2]), first)
    await store.add_thread_item(THREADS[2], question("msg_first", THREADS[2], "Once?"), first)
    await store.add_thread_item(THREADS[2], answer("msg_answer", THREADS[2], "Once."), first)
    await store.finish("done", None, first)
    await store.turn_items(await store.request_in(THREADS[2], "req_first", me), me)
    await store.begin_turn(THREADS[2], second)
    await store.add_thread_item(THREADS[2], question("msg_second", THREADS[2], "Again?"), second)
    await store.ask_to_stop(THREADS[2], me)
    await store.clear_turn(THREADS[2], second)
    await store.running_in(THREADS[2], me)
    await store.release(second, forget=False)
    await store.request_in(THREADS[2], "req_second", me)
    await store.find_request(asked("second", THREADS[2]))
    await store.begin_anew(THREADS[2], "msg_answer", me)
    call = asked("call", THREADS[2])
    await store.begin_call(call)
    await store.release(call, forget=True)


PARTS: dict[str, tuple[str, Part]] = {
    "port": ("0001", port),
    "owners": ("0002", owners),
    "keyed": ("0003", keyed),
}
"""Each with the revision that it came with."""


async def look(store: Any, me: Context) -> Any:
    """Read everything back, as JSON."""
    threads = []
    for order in ("asc", "desc"):
        page = await store.load_threads(1, None, order, me)
        threads += [*page.data, *(await store.load_threads(50, page.after, order, me)).data]
    seen: dict[str, Any] = {"threads": [each.model_dump(mode="json") for each in threads]}
    for each in dict.fromkeys(each.id for each in threads):
        forth = await store.load_thread_items(each, None, 50, "asc", me)
        back = await store.load_thread_items(each, forth.data[-1].id, 1, "desc", me)
        first = await store.load_item(each, forth.data[0].id, me)
        rest = await store.load_thread_items(each, first.id, 50, "asc", me)
        found = (*forth.data, *back.data, first, *rest.data)
        seen[each] = {
            "thread": (await store.load_thread(each, me)).model_dump(mode="json"),
            "items": [item.model_dump(mode="json") for item in found],
            "feedback": await store.load_feedback(each, me),
        }
    seen["file"] = (await store.load_attachment(FILE, me)).model_dump(mode="json")
    return seen
