"""What /openapi.json says of the ChatKit protocol, which FastAPI cannot know."""

import warnings
from typing import Any

from chatkit.types import ChatKitReq
from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic.json_schema import PydanticJsonSchemaWarning

_DESCRIPTION = """\
ChatKit conversations in PostgreSQL, per user.

Who asks is told by a bearer token, or is a visitor without an account, as CHAT_ANONYMOUS allows. What is
not the caller's does not exist for the caller: a stranger's conversation and none are the same answer.
"""
_REQUEST = "ChatKitRequest"
_HELLO = {
    "type": "threads.create",
    "params": {
        "input": {
            "content": [{"type": "input_text", "text": "What is a lease?"}],
            "attachments": [],
            "inference_options": {},
        }
    },
}
# For the route's openapi_extra; the schema it names is put in by describe().
CHATKIT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{_REQUEST}"},
                "examples": {
                    "create": {"summary": "Begin a conversation", "value": _HELLO},
                    "list": {
                        "summary": "List conversations",
                        "value": {"type": "threads.list", "params": {}},
                    },
                },
            }
        },
    }
}
_EVENTS = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "description": "One event of the stream.",
            "properties": {
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "description": "A ThreadStreamEvent of the ChatKit protocol.",
                }
            },
            "required": ["data"],
        }
    }
}
CHATKIT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON, or server-sent events for requests that are answered by a stream.",
        "content": {"application/json": {"schema": {}}, **_EVENTS},
    }
}
CHATKIT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer's events.", "content": _EVENTS}
}


def describe(app: FastAPI) -> None:
    """Have /openapi.json tell what ChatKit's requests look like, all types of them."""
    app.description = _DESCRIPTION
    made_by_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made_by_fastapi()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        if _REQUEST not in schemas:
            with warnings.catch_warnings():
                # A default of the SDK's that JSON cannot show.
                warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
                request = TypeAdapter[Any](ChatKitReq).json_schema(
                    ref_template="#/components/schemas/{model}"
                )
            for name, definition in request.pop("$defs").items():
                schemas.setdefault(name, definition)
            schemas[_REQUEST] = request
            _without_422(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _without_422(schema: dict[str, Any]) -> None:
    """Take out what FastAPI says of malformed requests everywhere: here they are 400, like other refusals."""
    for path in schema["paths"].values():
        for operation in path.values():
            if operation["responses"].get("422", {}).get("description") == "Validation Error":
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
