"""Store failures that ChatKit turns into an error event with words, instead of a crash in the log."""

from collections.abc import Iterator
from contextlib import contextmanager

from chatkit.errors import CustomStreamError
from chatkit.store import NotFoundError

from app.errors import RecordNotFound, StoreUnavailable, TooLarge


class RecordGone(NotFoundError, CustomStreamError):
    """No such record for this owner: chatkit's NotFoundError, readable when it ends a stream."""

    def __init__(self, message: str = "There is nothing with this id.") -> None:
        CustomStreamError.__init__(self, message, allow_retry=False)
        self.args = (message,)


class StoreDown(StoreUnavailable, CustomStreamError):
    """StoreUnavailable, readable when it ends a stream."""

    def __init__(self, message: str) -> None:
        CustomStreamError.__init__(self, message, allow_retry=True)
        self.args = (message,)


class StoreFull(TooLarge, CustomStreamError):
    """TooLarge, readable when it ends a stream."""

    def __init__(self, message: str) -> None:
        CustomStreamError.__init__(self, message, allow_retry=False)
        self.args = (message,)


@contextmanager
def for_chatkit() -> Iterator[None]:
    """Turn the repositories' errors into those that ChatKit knows."""
    try:
        yield
    except RecordNotFound as error:
        raise RecordGone(str(error)) from error
    except StoreUnavailable as error:
        raise StoreDown(str(error)) from error
