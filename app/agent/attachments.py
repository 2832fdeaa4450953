"""Attachments for the model: what it can read is given, the rest is named."""

import base64
import logging
from collections.abc import Collection
from typing import Literal

from chatkit.store import NotFoundError
from chatkit.types import Attachment
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from app.agent.data import data_block
from app.chat.context import ChatContext
from app.errors import ChatHistoryError
from app.files.store import FileStore

logger = logging.getLogger(__name__)

Readable = Literal["images", "pdfs"]
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_PDF = "application/pdf"
_JSON = "application/json"
_MOST_CHARACTERS = 60_000
_MOST_BYTES = 12 * 1024 * 1024
_WHAT = "A file that is attached to the message:"


class Files:
    """The files of one turn. The first that are asked for are given, up to 12 MB together."""

    def __init__(
        self, store: FileStore[ChatContext] | None, context: ChatContext, reads: Collection[Readable]
    ) -> None:
        """Read files of the context's owner; `reads` says what the model can read beside texts."""
        self._store = store
        self._context = context
        self._reads = reads
        self._left = _MOST_BYTES

    async def part(self, attachment: Attachment) -> ResponseInputContentParam:
        """Return what the model is given of a file."""
        kind = attachment.mime_type.partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind == _JSON:
            if (content := await self._bytes(attachment)) is not None:
                return _text(attachment, content)
        elif kind in _PICTURES and "images" in self._reads:
            if (content := await self._bytes(attachment)) is not None:
                return ResponseInputImageParam(
                    type="input_image", detail="auto", image_url=_data_url(kind, content)
                )
        elif (
            kind == _PDF and "pdfs" in self._reads and (content := await self._bytes(attachment)) is not None
        ):
            return ResponseInputFileParam(
                type="input_file", filename=attachment.name, file_data=_data_url(kind, content)
            )
        return _named(attachment)

    async def _bytes(self, attachment: Attachment) -> bytes | None:
        if self._store is None:
            return None
        try:
            content = await self._store.read(attachment.id, self._context, most=self._left)
        except NotFoundError:
            return None
        except ChatHistoryError as error:
            logger.warning("A file could not be read for the model", exc_info=error)
            return None
        self._left -= len(content or b"")
        return content


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _text(attachment: Attachment, content: bytes) -> ResponseInputTextParam:
    text = content.decode(errors="replace")
    file = {"name": attachment.name, "type": attachment.mime_type, "text": text[:_MOST_CHARACTERS]}
    if len(text) > _MOST_CHARACTERS:
        file["note"] = "Only the beginning of the file; it goes on."
    return ResponseInputTextParam(type="input_text", text=data_block(_WHAT, file))


def _named(attachment: Attachment) -> ResponseInputTextParam:
    file = {
        "name": attachment.name,
        "type": attachment.mime_type,
        "note": "You cannot read this file. If it matters, say so.",
    }
    return ResponseInputTextParam(type="input_text", text=data_block(_WHAT, file))
