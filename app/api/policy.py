"""What a page has to know of this server before it knows who looks at it."""

from datetime import datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.api.callers import admit_address
from app.api.schemas import failures
from app.api.services import CurrentServices
from app.identity.caller import Anonymous
from app.identity.demo import DemoUser

router = APIRouter(prefix="/chat", tags=["me"])


class Policy(BaseModel):
    """What this server does for everybody alike."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "anonymous": "memory",
                "attachments": True,
                "max_message_bytes": 32768,
                "demo_users": [],
                "now": "2026-11-21T09:00:00+01:00",
            }
        }
    )

    anonymous: Annotated[
        Anonymous,
        Field(description="Visitors without an account: kept for the browser session, for long, or refused."),
    ]
    attachments: Annotated[bool, Field(description="Whether messages may carry files.")]
    max_message_bytes: Annotated[int, Field(description="Longest user message, in bytes of UTF-8.")]
    demo_users: Annotated[list[str], Field(description="Who can be signed in as without a password.")]
    now: Annotated[
        AwareDatetime,
        Field(description="This server's clock and zone. Times of items that name no zone are in this one."),
    ]


@router.get("/policy", responses=failures())
async def read_policy(request: Request, services: CurrentServices) -> Policy:
    """Say how this server treats visitors and messages. Asks for nothing and leaves nothing behind."""
    await admit_address(request, services)
    settings = services.settings
    return Policy(
        anonymous=settings.chat_anonymous,
        attachments=settings.chat_attachments == "on",
        max_message_bytes=settings.chat_max_message_bytes,
        demo_users=list(get_args(DemoUser)) if services.has_demo_users else [],
        now=datetime.now().astimezone(),
    )
