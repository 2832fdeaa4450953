"""A caller's conversations, as plain REST."""

from typing import Annotated, Literal

from chatkit.types import ThreadItem
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from app.api.body import SMALL_BODY_BYTES, read_model
from app.api.callers import CurrentCaller, CurrentContext
from app.api.cookies import remember
from app.api.schemas import FAILURES_OF_ONE, failures, json_body
from app.api.services import CurrentServices
from app.errors import RecordNotFound, RequestTimeout, TooLarge
from app.stores.summaries import ThreadSummary

router = APIRouter(prefix="/chat/threads", tags=["threads"])

Order = Literal["asc", "desc"]
ThreadId = Annotated[str, Path(description="The conversation's id.", examples=["thr_2vW4nR0zqk7-Xb1LQd9uEw"])]
ItemId = Annotated[str, Path(description="The message's id.", examples=["msg_2vW4nR0zqk8-Yc2MRe0vFx"])]


class Paging(BaseModel):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=100, description="How many rows at most.")] = 20
    after: Annotated[
        str | None, Field(description="The `after` of the page before; without it, the first page.")
    ] = None


class ThreadPaging(Paging):
    """Which page of conversations."""

    order: Annotated[Order, Field(description="`desc`: the last active first.")] = "desc"


class ItemPaging(Paging):
    """Which page of a conversation."""

    order: Annotated[Order, Field(description="`asc`: in the order they were added.")] = "asc"


class ThreadPage(BaseModel):
    """Some of a caller's conversations."""

    data: list[ThreadSummary]
    has_more: Annotated[bool, Field(description="Whether there are more behind these.")]
    after: Annotated[str | None, Field(description="Where the next page begins; set when there is one.")]


class ItemPage(BaseModel):
    """Some of a conversation's items, as the ChatKit protocol has them."""

    data: Annotated[
        list[ThreadItem],
        Field(description="May hold fewer than the limit, even none, while there are more: some are hidden."),
    ]
    has_more: Annotated[bool, Field(description="Whether there are more behind these.")]
    after: Annotated[str | None, Field(description="Where the next page begins; set when there is one.")]


class ThreadWithItems(ThreadSummary):
    """A conversation with a page of its items."""

    items: ItemPage


class Rename(BaseModel):
    """What to change of a conversation."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"title": "Leases, explained"}})

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


@router.get("", responses=FAILURES_OF_ONE)
async def list_threads(
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
    paging: Annotated[ThreadPaging, Query()],
) -> ThreadPage:
    """Return the caller's conversations, each with how its last message begins and when that was."""
    page = await services.store_for(caller).load_summaries(paging.limit, paging.after, paging.order, context)
    return ThreadPage(data=page.data, has_more=page.has_more, after=page.after)


@router.get("/{thread_id}", response_model=ThreadWithItems, responses=FAILURES_OF_ONE)
async def read_thread(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    thread_id: ThreadId,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
    paging: Annotated[ItemPaging, Query()],
) -> Response:
    """Return a conversation of the caller's with a page of what was said in it."""
    server = services.server_for(caller)
    summary = await server.store.load_summary(thread_id, context)
    page = await server.item_page(thread_id, paging.after, paging.limit, paging.order, context)
    items = page.model_dump(mode="json", by_alias=True, exclude_none=True, context={"exclude_metadata": True})
    content = summary.model_dump(mode="json") | {"items": items | {"after": page.after}}
    # As the items were dumped, and not once more through a model, which would add what was left out.
    response = Response(to_json(content), media_type="application/json")
    remember(request, response, services.settings, caller)
    return response


@router.patch(
    "/{thread_id}",
    responses=failures(RecordNotFound, RequestTimeout, TooLarge),
    openapi_extra=json_body(Rename),
)
async def rename_thread(
    request: Request,
    thread_id: ThreadId,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
) -> ThreadSummary:
    """Give a conversation of the caller's another title."""
    rename = await read_model(request, Rename, SMALL_BODY_BYTES)
    store = services.store_for(caller)
    await store.rename_thread(thread_id, rename.title, context)
    return await store.load_summary(thread_id, context)


@router.delete("/{thread_id}", status_code=204, responses=FAILURES_OF_ONE)
async def delete_thread(
    thread_id: ThreadId, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> None:
    """Delete a conversation of the caller's with all that was said in it, files included, for good."""
    store = services.store_for(caller)
    await store.load_thread(thread_id, context)
    await store.delete_thread(thread_id, context)


@router.delete("/{thread_id}/items/{item_id}", status_code=204, responses=FAILURES_OF_ONE)
async def delete_item(
    thread_id: ThreadId,
    item_id: ItemId,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
) -> None:
    """Delete one message of a conversation of the caller's with its files, for good."""
    store = services.store_for(caller)
    await store.load_item(thread_id, item_id, context)
    await store.delete_thread_item(thread_id, item_id, context)
