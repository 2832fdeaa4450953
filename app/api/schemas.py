"""What /openapi.json says of answers, beside what the routes' own types say."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.errors import (
    ChatHistoryError,
    Forbidden,
    InvalidRequest,
    RecordNotFound,
    StoreUnavailable,
    TooManyRequests,
    Unauthorized,
)


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: Annotated[str, Field(description="For programs: stays the same in later releases.")]
    message: Annotated[str, Field(description="For people: a sentence that says what to do.")]


class ErrorBody(BaseModel):
    """The answer to a request that failed."""

    error: ErrorDetail


# What every route that has a caller may answer.
_ALWAYS: tuple[type[ChatHistoryError], ...] = (
    InvalidRequest,
    Unauthorized,
    Forbidden,
    TooManyRequests,
    StoreUnavailable,
)


def failures(*more: type[ChatHistoryError]) -> dict[int | str, dict[str, Any]]:
    """Return how a route's failures are declared: `more`, and those that every route with a caller has."""
    kinds = sorted({*_ALWAYS, *more}, key=lambda kind: kind.status_code)
    return {
        kind.status_code: {
            "model": ErrorBody,
            "description": (kind.__doc__ or "").strip().splitlines()[0],
            "content": {
                "application/json": {
                    "example": {"error": {"code": kind.code, "message": "What to do about it."}}
                }
            },
        }
        for kind in kinds
    }


FAILURES = failures()
FAILURES_OF_ONE = failures(RecordNotFound)
"""Of a route about one record, which may not be there."""


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return how a body is declared that a route reads by itself, to bound it in bytes and in time."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": model.model_json_schema()}},
        }
    }
