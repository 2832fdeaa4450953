"""Conversations of a usual size."""

from datetime import datetime

from chatkit.types import (
    ActiveStatus,
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

from app.stores.ids import new_id

QUESTION = (
    "Could you explain again how the cursor of a page is found when the item it names was deleted meanwhile?"
    " I read the chapter twice, and the part about positions is still not clear to me."
)
ANSWER = (
    "A cursor names the last item of the page before. When that item is gone, the server says so instead of"
    " starting again at page one: *nothing is skipped or shown twice*. The client then loads the newest"
    " page and goes on from there.\n\n"
    "1. Positions count up per thread and are never used twice.\n"
    "2. A page asks for one row more than it shows, which tells whether there are more.\n"
    "3. Both come from one statement, so that no other writer can step in between.\n\n"
    "Is there a part that you would like to see as an example?"
)


def _now() -> datetime:
    return datetime.now()  # noqa: DTZ005 - the SDK's own, naive local time


def thread(title: str = "How a cursor is found") -> ThreadMetadata:
    """Return a new thread."""
    return ThreadMetadata(
        id=new_id("thread"), title=title, created_at=_now(), status=ActiveStatus(), metadata={"course": "sql"}
    )


def message(thread_id: str) -> UserMessageItem:
    """Return a new question."""
    return UserMessageItem(
        id=new_id("message"),
        thread_id=thread_id,
        created_at=_now(),
        content=[UserMessageTextContent(text=QUESTION)],
        attachments=[],
        inference_options=InferenceOptions(),
    )


def answer(thread_id: str) -> AssistantMessageItem:
    """Return a new answer."""
    return AssistantMessageItem(
        id=new_id("message"),
        thread_id=thread_id,
        created_at=_now(),
        content=[AssistantMessageContent(text=ANSWER)],
    )


def items(thread_id: str, count: int) -> list[ThreadItem]:
    """Return questions and answers in turn."""
    return [answer(thread_id) if n % 2 else message(thread_id) for n in range(count)]


def attachment() -> FileAttachment:
    """Return a new attachment."""
    return FileAttachment(id=new_id("attachment"), name="chapter.pdf", mime_type="application/pdf")
