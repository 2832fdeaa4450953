"""Attachments: sending files, and getting them back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any

from chatkit.store import NotFoundError
from chatkit.types import Attachment
from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.body import chunks_of
from app.api.callers import CurrentCaller, CurrentContext, admit_address, base_url_of
from app.api.schemas import FAILURES_OF_ONE, failures
from app.api.services import CurrentServices, Services
from app.chat.context import ChatContext
from app.errors import InvalidRequest, RecordNotFound, RequestTimeout, TooLarge, UnsupportedFile
from app.files.kinds import IMAGES
from app.files.links import Use, no_such_file
from app.files.names import content_disposition
from app.files.store import File, FileStore

router = APIRouter(prefix="/chat/attachments", tags=["attachments"])

AttachmentId = Annotated[
    str, Path(description="The attachment's id.", examples=["atc_2vW4nR0zqk7-Xb1LQd9uEw"])
]
Token = Annotated[
    str, Query(description="What makes the link work, for a quarter of an hour.", examples=["gAAAAABp…"])
]
Files = FileStore[ChatContext]

_SPOOL_BYTES = 1024 * 1024
# Boundaries, headers and small fields around the file.
_FORM_BYTES = 64 * 1024
_MOST_FIELDS = 20
# A large file over a slow line.
_UPLOAD_SECONDS = 900.0
_ON_UPLOAD = failures(RecordNotFound, TooLarge, UnsupportedFile, RequestTimeout)
_ATTACHMENT: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Attachment,
        "description": "The attachment, for `attachments` of a message.",
        "content": {
            "application/json": {
                "example": {
                    "id": "atc_2vW4nR0zqk7-Xb1LQd9uEw",
                    "name": "lease.pdf",
                    "mime_type": "application/pdf",
                    "type": "file",
                }
            }
        },
    }
}
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_DOWNLOADED: dict[int | str, dict[str, Any]] = {200: {"description": "The file.", "content": {"*/*": _BYTES}}}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary", "description": "The file."}},
}


class AttachmentDetails(BaseModel):
    """An attachment, and where to get its bytes."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "atc_2vW4nR0zqk7-Xb1LQd9uEw",
                "name": "lease.pdf",
                "mime_type": "application/pdf",
                "size": 48213,
                "url": "https://chat.example.com/chat/attachments/atc_2vW4nR0zqk7-Xb1LQd9uEw/file?token=gAAAAABp",
                "expires_at": "2026-01-01T12:15:00Z",
            }
        }
    )

    id: str
    name: str
    mime_type: Annotated[str, Field(description="By its content, once that is here.")]
    size: Annotated[int | None, Field(description="In bytes; null while the file has not arrived.")]
    url: Annotated[str | None, Field(description="A link to the file; null while it has not arrived.")]
    expires_at: Annotated[datetime | None, Field(description="When the link stops working.")]


@router.post(
    "",
    response_model=None,
    responses=_ATTACHMENT | failures(TooLarge, UnsupportedFile, RequestTimeout),
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}},
    },
)
async def upload(
    request: Request, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> dict[str, Any]:
    """Send a file in one step, as ChatKit does with its upload strategy `direct`.

    The type is told by the content, whatever name and type come with it. A file that no message
    carries within a day is deleted.
    """
    files = services.server_for(caller).files
    async with _form_file(request, files) as file:
        name, declared = file.filename or "", file.content_type or ""
        return await _shown(files, await files.take(name, declared, file.file, context), context)


@router.put(
    "/{attachment_id}/file",
    response_model=None,
    responses=_ATTACHMENT | _ON_UPLOAD,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": _BYTES}},
    },
)
async def upload_bytes(
    request: Request, attachment_id: AttachmentId, services: CurrentServices, token: Token = ""
) -> dict[str, Any]:
    """Send the bytes of a file that the ChatKit request `attachments.create` has announced.

    Use the URL that came with its answer: it needs no sign-in. Sent again, the first bytes stay.
    """
    files, context, _ = await _granted(request, services, token, "upload", attachment_id)
    found = await _known(files, attachment_id, context)
    if found.size is not None:
        return await _shown(files, found.attachment, context)
    async with _spooled(request, files) as file:
        return await _shown(files, await files.receive(attachment_id, file, context), context)


@router.get(
    "/{attachment_id}/file",
    response_class=StreamingResponse,
    responses=_DOWNLOADED | FAILURES_OF_ONE,
)
async def download(
    request: Request, attachment_id: AttachmentId, services: CurrentServices, token: Token = ""
) -> StreamingResponse:
    """Return a file's bytes to whoever has a link that works.

    Pictures can be shown in a page; anything else is saved, never opened in the browser.
    """
    files, context, seconds = await _granted(request, services, token, "download", attachment_id)
    found = await _known(files, attachment_id, context)
    if found.size is None:
        raise no_such_file()
    kind = found.attachment.mime_type
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": content_disposition(found.attachment.name, inline=kind in IMAGES),
        "X-Content-Type-Options": "nosniff",
        # Opened as a document, it can do nothing; shown as a picture, it may be on any site.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": f"private, max-age={seconds}",
    }
    return StreamingResponse(await files.blobs.stream(found.key), media_type=kind, headers=headers)


@router.get("/{attachment_id}", responses=FAILURES_OF_ONE)
async def read_attachment(
    attachment_id: AttachmentId, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> AttachmentDetails:
    """Return what an attachment of the caller's is, with a new link to its bytes."""
    files = services.server_for(caller).files
    found = await files.load(attachment_id, context)
    url = until = None
    if found.size is not None:
        url, until = await files.download_link(attachment_id, context)
    return AttachmentDetails(
        id=found.attachment.id,
        name=found.attachment.name,
        mime_type=found.attachment.mime_type,
        size=found.size,
        url=url,
        expires_at=until,
    )


@router.delete("/{attachment_id}", status_code=204, responses=FAILURES_OF_ONE)
async def delete_attachment(
    attachment_id: AttachmentId, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> None:
    """Delete an attachment of the caller's and its bytes, for good."""
    files = services.server_for(caller).files
    await files.load(attachment_id, context)
    await files.delete_attachment(attachment_id, context)


async def _granted(
    request: Request, services: Services, token: str, use: Use, attachment_id: str
) -> tuple[Files, ChatContext, int]:
    """Return where a link leads, for whom it was made, and for how many more seconds it works."""
    await admit_address(request, services)
    homes = {"accounts": services.accounts, "visitors": services.visitors}
    grant, seconds = await services.links.open(token, use=use, attachment_id=attachment_id)
    return homes[grant.home].files, ChatContext(grant.owner, base_url_of(request, services)), seconds


async def _known(files: Files, attachment_id: str, context: ChatContext) -> File:
    try:
        return await files.load(attachment_id, context)
    except NotFoundError:
        raise no_such_file() from None


async def _shown(files: Files, attachment: Attachment, context: ChatContext) -> dict[str, Any]:
    linked = await files.with_links(attachment, context)
    return linked.model_dump(mode="json", exclude_none=True, context={"exclude_metadata": True})


@asynccontextmanager
async def _form_file(request: Request, files: Files) -> AsyncIterator[UploadFile]:
    """Give the form's field `file`, on disk when it is large, until the block ends."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise InvalidRequest("Send the file as multipart/form-data, in a field with the name file.")
    chunks = _arriving(request, files, files.limits.max_bytes + _FORM_BYTES)
    parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=_MOST_FIELDS)  # type: ignore[arg-type]  # iterates only
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"The form cannot be read: {error.message}") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("The form has no file in a field with the name file.")
        yield file
    finally:
        await form.close()


@asynccontextmanager
async def _spooled(request: Request, files: Files) -> AsyncIterator[IO[bytes]]:
    """Give the body, on disk when it is large, until the block ends."""
    with SpooledTemporaryFile(_SPOOL_BYTES) as file:
        async for chunk in _arriving(request, files, files.limits.max_bytes):
            await run_in_threadpool(file.write, chunk)
        yield file


async def _arriving(request: Request, files: Files, most: int) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks_of(request, most, total_seconds=_UPLOAD_SECONDS):
            yield chunk
    except TooLarge:
        raise files.too_large() from None
