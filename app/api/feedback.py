"""What owners thought of answers."""

from chatkit.types import FeedbackKind
from fastapi import APIRouter
from pydantic import BaseModel

from app.api.callers import CurrentCaller
from app.api.schemas import FAILURES_OF_ONE
from app.api.services import CurrentServices
from app.chat.context import ChatContext

router = APIRouter(prefix="/chat")


class Feedback(BaseModel):
    """Opinions given in a thread."""

    data: dict[str, FeedbackKind]
    """`positive` or `negative`, by item id; items nobody rated are not listed."""


@router.get("/threads/{thread_id}/feedback", tags=["threads"], responses=FAILURES_OF_ONE)
async def read_feedback(thread_id: str, services: CurrentServices, caller: CurrentCaller) -> Feedback:
    """Return the feedback given in a thread of the caller's, oldest item first."""
    store = services.store_for(caller)
    context = ChatContext(caller.user_id)
    await store.load_thread(thread_id, context)
    return Feedback(data=await store.load_feedback(thread_id, context))
