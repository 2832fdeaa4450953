"""Store failures that ChatKit turns into an error event with words, instead of a crash in the log."""

from chatkit.errors import CustomStreamError
from chatkit.store import NotFoundError

from app.errors import LeaseLost, RecordNotFound, StoreUnavailable, TooLarge


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


class TurnTaken(LeaseLost, CustomStreamError):
    """LeaseLost, readable when it ends a stream."""

    def __init__(self) -> None:
        LeaseLost.__init__(self)
        message = str(self)
        CustomStreamError.__init__(self, message, allow_retry=True)
        self.args = (message,)


class for_chatkit:  # noqa: N801 - used like a function; a generator-based one costs four times as much
    """Turn the repositories' errors into those that ChatKit knows."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, RecordNotFound):
            raise RecordGone(str(error)) from error
        if isinstance(error, StoreUnavailable):
            raise StoreDown(str(error)) from error
        if isinstance(error, LeaseLost):
            raise TurnTaken from error
