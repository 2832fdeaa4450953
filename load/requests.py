"""The requests of one user, as bytes."""

import json
from typing import Any


class Requests:
    """Makes requests that carry a user's token."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._head = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"

    def chatkit(self, kind: str, *, key: str | None = None, **params: Any) -> bytes:
        """Return a request of the ChatKit protocol."""
        body = json.dumps({"type": kind, "params": params}).encode()
        keyed = f"Idempotency-Key: {key}\r\n" if key else ""
        head = f"POST /chatkit{self._head}{keyed}Content-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def thread(self, thread_id: str) -> bytes:
        """Return a request for a thread."""
        return f"GET /chat/threads/{thread_id}{self._head}\r\n".encode()


def message(text: str) -> dict[str, Any]:
    """Return a message as the protocol has it."""
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
    }
