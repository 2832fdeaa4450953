"""How far a long step is, on a terminal; nothing where there is none."""

from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm


class Progress:
    """A bar on standard error."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        """Begin a step; `unit` is "B" for bytes."""
        self._bar: tqdm[NoReturn] = tqdm(
            desc=what, total=total, unit=unit, unit_scale=True, disable=None, leave=False, mininterval=0.2
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def at(self, number: int) -> None:
        """Note that so much is done."""
        if not self._bar.disable and number > self._bar.n:
            self._bar.update(number - self._bar.n)
