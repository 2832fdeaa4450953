"""Failures a caller can act on.

ChatHistoryError
├── RecordNotFound        404  no such record for this owner
├── InvalidRequest        400  the request, or an id or argument in it, cannot be used
│   └── InvalidUrl        400  a database URL that cannot be understood
├── TooLarge              413  more bytes than this server takes
├── Conflict              409  right request, wrong moment (locked thread, nothing to answer)
│   └── Busy              409  the wrong moment passes by itself
│       └── LeaseLost     409  another attempt answers the same request by now
├── NotSupported          400  this server was not set up for it
├── KeyReused             422  the idempotency key of another request
├── UnsupportedFile       415  not a type of file that this server takes
├── Unauthorized          401  who is asking is unknown
├── Forbidden             403  who is asking is known, and may not
├── RequestTimeout        408  the request did not arrive in time
├── TooManyRequests       429  more at once, or per minute, than this server allows
├── ModelUnavailable      503  the language model did not answer
├── ModelRefused          422  the language model will not answer this, however often it is asked
├── IssuerUnavailable     503  who issues sign-in tokens did not answer
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
    retry_after: int | None = None
    """In how many seconds it may, when that is known."""


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


class Busy(Conflict):
    """Something of the same owner is in progress that does not go together with this, and ends soon."""

    code = "busy"
    allow_retry = True
    retry_after = 2


class LeaseLost(Busy):
    """Another attempt has taken over the request that this one was answering."""

    def __init__(self) -> None:
        super().__init__("Your message is being answered by another request of yours. Please try again.")


class KeyReused(ChatHistoryError):
    """The idempotency key was used before, for another request."""

    status_code = 422
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request. Use a new key for a new request."
        )


class NotSupported(ChatHistoryError):
    """This server was not set up for what was asked."""

    status_code = 400
    code = "not_supported"


class UnsupportedFile(ChatHistoryError):
    """Not a type of file that this server takes."""

    status_code = 415
    code = "unsupported_file"


class Unauthorized(ChatHistoryError):
    """Who is asking is unknown."""

    status_code = 401
    code = "unauthorized"


class Forbidden(ChatHistoryError):
    """Who is asking is known, and may not do this."""

    status_code = 403
    code = "forbidden"


class RequestTimeout(ChatHistoryError):
    """The request did not arrive in time."""

    status_code = 408
    code = "request_timeout"
    allow_retry = True


class TooManyRequests(ChatHistoryError):
    """More at once, or in some time, than this server allows; `retry_after` seconds later it may be fine."""

    status_code = 429
    code = "too_many_requests"
    allow_retry = True
    retry_after: int

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(retry_after, 1)


class IssuerUnavailable(ChatHistoryError):
    """Whether a token is good cannot be known now: its issuer's keys are not here, and cannot be fetched."""

    status_code = 503
    code = "unavailable"
    allow_retry = True
    retry_after = 5


class ModelUnavailable(ChatHistoryError):
    """The language model did not answer, or not to the end; asked again it may."""

    status_code = 503
    code = "model_unavailable"
    allow_retry = True


class ModelRefused(ChatHistoryError):
    """The language model, as it is set up, will not answer this, however often it is asked."""

    status_code = 422
    code = "model_refused"


class StoreUnavailable(ChatHistoryError):
    """The database did not answer within the time allowed; nothing is known to be lost."""

    status_code = 503
    code = "unavailable"
    allow_retry = True
    retry_after = 5
