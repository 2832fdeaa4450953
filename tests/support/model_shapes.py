"""What models send, in the shapes of OpenAI's two APIs, as their streams were recorded."""

import json
import zlib
from typing import Any, Protocol

_USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


class Dialect(Protocol):
    """One of the APIs. Each method but the last returns the pieces of a stream."""

    name: str
    words_begin: int
    """Which piece of an answer without a thought holds its first words."""

    def said(self, *words: str, thought: str = "", item_id: str = "msg_1") -> list[bytes]:
        """Return an answer, perhaps with a thought before it."""
        ...

    def searched(self, question: str, thought: str = "", call_id: str | None = None) -> list[bytes]:
        """Return a call of the tool that searches the documents."""
        ...

    def refused(self, *words: str) -> list[bytes]:
        """Return a refusal in words."""
        ...

    def whole(self, text: str) -> dict[str, Any]:
        """Return an answer without a stream."""
        ...


class Responses:
    """The Responses API."""

    name = "responses"
    words_begin = 4

    def said(self, *words: str, thought: str = "", item_id: str = "msg_1") -> list[bytes]:
        """Return an answer, perhaps with a thought before it."""
        text = "".join(words)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        place = {"item_id": item_id, "output_index": 1 if thought else 0, "content_index": 0}
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        done = {**item, "status": "completed", "content": [{**part, "text": text}]}
        index = {"output_index": place["output_index"]}
        return self._stream(
            *_thought(thought),
            {"type": "response.output_item.added", **index, "item": item},
            {"type": "response.content_part.added", **place, "part": part},
            *(
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
                for word in words
            ),
            {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
            {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
            {"type": "response.output_item.done", **index, "item": done},
            output=[done],
        )

    def searched(self, question: str, thought: str = "", call_id: str | None = None) -> list[bytes]:
        """Return a call of the tool that searches the documents."""
        arguments = json.dumps({"question": question})
        item = {
            "id": "fc_1",
            "type": "function_call",
            "status": "in_progress",
            "call_id": _call_id(question) if call_id is None else call_id,
            "name": "search_documents",
            "arguments": "",
        }
        done = {**item, "status": "completed", "arguments": arguments}
        index = {"output_index": 1 if thought else 0}
        place = {"item_id": "fc_1", **index}
        return self._stream(
            *_thought(thought),
            {"type": "response.output_item.added", **index, "item": item},
            {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
            {"type": "response.function_call_arguments.done", **place, "arguments": arguments},
            {"type": "response.output_item.done", **index, "item": done},
            output=[done],
        )

    def called(self, *questions: str) -> list[bytes]:
        """Return a call of the tool for each question, all at once."""
        calls = [
            {
                "id": f"fc_{number}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{number}",
                "name": "search_documents",
                "arguments": json.dumps({"question": question}),
            }
            for number, question in enumerate(questions)
        ]
        kinds = ("added", "done")
        events = [
            {"type": f"response.output_item.{kind}", "output_index": number, "item": call}
            for number, call in enumerate(calls)
            for kind in kinds
        ]
        return self._stream(*events, output=calls)

    def refused(self, *words: str) -> list[bytes]:
        """Return a refusal in words."""
        text, part = "".join(words), {"type": "refusal", "refusal": ""}
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        done = {**item, "status": "completed", "content": [{**part, "refusal": text}]}
        return self._stream(
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", **place, "part": part},
            *({"type": "response.refusal.delta", **place, "delta": word} for word in words),
            {"type": "response.refusal.done", **place, "refusal": text},
            {"type": "response.content_part.done", **place, "part": {**part, "refusal": text}},
            {"type": "response.output_item.done", "output_index": 0, "item": done},
            output=[done],
        )

    def ended(self, said: list[bytes], status: str, **why: Any) -> list[bytes]:
        """Return an answer that ends with a failure where it would have been completed."""
        last = {"type": f"response.{status}", "response": {**_response(status, []), **why}}
        return [*said[:-4], _numbered(len(said), last)]

    def error(self, said: list[bytes], code: str | None) -> list[bytes]:
        """Return an answer in the middle of which an error is sent."""
        event = {"type": "error", "code": code, "message": "words that nobody may see", "param": None}
        return [*said[:-4], _numbered(len(said), event)]

    def whole(self, text: str) -> dict[str, Any]:
        """Return an answer without a stream."""
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        message = {
            "id": "msg_t",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        return _response("completed", [message])

    def _stream(self, *events: dict[str, Any], output: list[Any]) -> list[bytes]:
        begun = _response("in_progress", [])
        whole = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *events,
            {"type": "response.completed", "response": _response("completed", output)},
        ]
        return [_numbered(number, event) for number, event in enumerate(whole)]


class ChatCompletions:
    """The Chat Completions API, as servers other than OpenAI's speak it, too."""

    name = "chat_completions"
    words_begin = 1

    def __init__(self, thoughts: str = "reasoning_content") -> None:
        """Send thoughts in a field of this name; servers differ."""
        self._thoughts = thoughts

    def said(self, *words: str, thought: str = "", item_id: str = "") -> list[bytes]:
        """Return an answer, perhaps with a thought before it."""
        thoughts = self._thinking(thought)
        return self._stream(*thoughts, *({"content": word} for word in words), finish="stop")

    def searched(self, question: str, thought: str = "", call_id: str | None = None) -> list[bytes]:
        """Return a call of the tool that searches the documents."""
        arguments = json.dumps({"question": question})
        function = {"name": "search_documents", "arguments": ""}
        name = _call_id(question) if call_id is None else call_id
        call = {"index": 0, "id": name, "type": "function", "function": function}
        thoughts = self._thinking(thought)
        return self._stream(
            *thoughts,
            {"tool_calls": [call]},
            {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]},
            finish="tool_calls",
        )

    def _thinking(self, thought: str) -> list[dict[str, Any]]:
        half = len(thought) // 2
        return [{self._thoughts: part} for part in (thought[:half], thought[half:]) if part]

    def refused(self, *words: str) -> list[bytes]:
        """Return a refusal in words."""
        return self._stream(*({"refusal": word} for word in words), finish="stop")

    def filtered(self) -> list[bytes]:
        """Return what comes of an answer that the provider holds back."""
        return self._stream(finish="content_filter")

    def whole(self, text: str) -> dict[str, Any]:
        """Return an answer without a stream."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        return {
            "id": "chatcmpl-2",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }

    def _stream(self, *deltas: dict[str, Any], finish: str) -> list[bytes]:
        first = _chunk({"role": "assistant", "content": ""}, None)
        return [
            first,
            *(_chunk(delta, None) for delta in deltas),
            _chunk({}, finish),
            b"data: [DONE]\n\n",
        ]


def _call_id(question: str) -> str:
    return f"call_{zlib.crc32(question.encode())}"


def _thought(text: str) -> list[dict[str, Any]]:
    if not text:
        return []
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    part = {"type": "summary_text", "text": text}
    place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    first, rest = text[: len(text) // 2], text[len(text) // 2 :]
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": first},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": rest},
        {"type": "response.reasoning_summary_text.done", **place, "text": text},
        {"type": "response.reasoning_summary_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "summary": [part]}},
    ]


def _numbered(number: int, event: dict[str, Any]) -> bytes:
    data = json.dumps({**event, "sequence_number": number})
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _response(status: str, output: list[Any]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            **_USAGE,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        if status == "completed"
        else None,
    }


def _chunk(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()
