"""Items of a thread in the words of the model's API."""

from typing import Any

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    GeneratedImageItem,
    HiddenContextItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
)
from openai.types.responses import EasyInputMessageParam, ResponseInputContentParam

from app.agent.attachments import Files
from app.agent.data import data_block

_BESIDE = "What the message refers to:"


class InputConverter(ThreadItemConverter):
    """Makes one input of each message, a plain string wherever it can.

    Many servers that speak Chat Completions take nothing but strings.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    async def input_of(self, item: ThreadItem) -> list[TResponseInputItem]:
        """Return what the model is given of an item; a tool's call and its output are one list."""
        return [_plain(part) for part in await self.to_agent_input(item)]

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Return the words as they were written; what they refer to, and files, stand in blocks behind."""
        tags = [part for part in item.content if isinstance(part, UserMessageTagContent)]
        words = "".join(
            f"@{part.text}" if isinstance(part, UserMessageTagContent) else part.text for part in item.content
        )
        beside: dict[str, Any] = {}
        if item.quoted_text:
            beside["quote"] = item.quoted_text
        if tags:
            beside["mentions"] = [{"name": tag.text, "id": tag.id, "data": tag.data} for tag in tags]
        texts = [words] if words else []
        if beside:
            texts.append(data_block(_BESIDE, beside))
        content: list[ResponseInputContentParam] = [{"type": "input_text", "text": text} for text in texts]
        content += [await self.attachment_to_message_content(file) for file in item.attachments]
        return EasyInputMessageParam(type="message", role="user", content=content) if content else None

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        """Return a file as far as the model can read it."""
        return await self._files.part(attachment)

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Return what was said, without its annotations: the model would make new ones like them."""
        text = "\n\n".join(part.text for part in item.content if part.text.strip())
        return EasyInputMessageParam(type="message", role="assistant", content=text) if text else None

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Return notes for the model; items that this release does not know are none."""
        return await super().hidden_context_to_input(item) if isinstance(item.content, str) else None

    async def generated_image_to_input(
        self, item: GeneratedImageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Say that there was a picture. It may be megabytes, and behind an address of this server."""
        return EasyInputMessageParam(
            type="message", role="user", content="(Here a picture was made and shown.)"
        )


def _plain(item: Any) -> TResponseInputItem:
    """Return an input with its texts as one string, if it has nothing else, that UTF-8 can hold."""
    content = item.get("content")
    if isinstance(content, list) and all(part["type"] == "input_text" for part in content):
        item = {**item, "content": "\n\n".join(part["text"] for part in content)}
    return cleaned(item)  # type: ignore[no-any-return]  # of the type that it is given


def cleaned(value: Any) -> Any:
    """Return a value with half surrogates replaced in all its strings: the API's JSON cannot have them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: cleaned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [cleaned(part) for part in value]
    return value


def joined(inputs: list[TResponseInputItem]) -> list[TResponseInputItem]:
    """Return inputs with messages of one speaker in a row made one.

    The templates of many models want speakers to take turns, and fail otherwise.
    """
    together: list[Any] = []
    for part in inputs:
        last = together[-1] if together else {}
        if _is_text(last) and _is_text(part) and last["role"] == part["role"]:  # type: ignore[typeddict-item]  # _is_text knows
            together[-1] = {**last, "content": f"{last['content']}\n\n{part['content']}"}  # type: ignore[typeddict-item]  # likewise
        else:
            together.append(part)
    return together


def _is_text(item: Any) -> bool:
    return isinstance(item.get("content"), str) and item.get("role") in ("user", "assistant")
