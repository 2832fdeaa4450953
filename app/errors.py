"""Failures a caller can act on.

ChatHistoryError
├── RecordNotFound        404  no such record for this owner
├── InvalidRequest        400  the request, or an id or argument in it, cannot be used
│   └── InvalidUrl        400  a database URL that cannot be understood
├── TooLarge              413  more bytes than this server takes
├── Conflict              409  right request, wrong moment (locked thread, nothing to answer)
├── NotSupported          400  this server was not set up for it
├── Unauthorized          401  who is asking is unknown
└── StoreUnavailable      503  the database did not answer in time

Everything else is a bug and stays a 500. Messages are written for the person who caused the
failure and hold nothing of the inside: no SQL, no driver names, no other owner's data.
"""

from typing import ClassVar


class ChatHistoryError(Exception):
    """A failure the caller can act on; `str()` of it is a sentence fit for a person."""

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    allow_retry: ClassVar[bool] = False
    """Whether the same request may succeed later, unchanged."""


class RecordNotFound(ChatHistoryError):
    """No such record for this owner; that it may exist for another is not revealed."""

    status_code = 404
    code = "not_found"


class InvalidRequest(ChatHistoryError, ValueError):
    """The request cannot be used as it is."""

    status_code = 400
    code = "invalid_request"


class InvalidUrl(InvalidRequest):
    """A database URL that cannot be used; names the part, never the password."""

    code = "invalid_url"


class TooLarge(ChatHistoryError):
    """More bytes than this server takes."""

    status_code = 413
    code = "too_large"


class Conflict(ChatHistoryError):
    """The request is well formed, but the thread is not in a state that allows it."""

    status_code = 409
    code = "conflict"


class NotSupported(ChatHistoryError):
    """This server was not set up for what was asked."""

    status_code = 400
    code = "not_supported"


class Unauthorized(ChatHistoryError):
    """Who is asking is unknown."""

    status_code = 401
    code = "unauthorized"


class StoreUnavailable(ChatHistoryError):
    """The database did not answer within the time allowed; nothing is known to be lost."""

    status_code = 503
    code = "unavailable"
    allow_retry = True
