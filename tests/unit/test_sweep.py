"""The sweep goes on whatever happens, and ends when it is told to."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.files import sweep
from app.files.blobs import Blobs, new_file_key
from app.files.sweep import Sweeper


class Finder:
    """Finds what a test says, and tells of each sweep."""

    def __init__(self, *outcomes: Exception | list[tuple[str, str]]) -> None:
        self._outcomes = list(outcomes)
        self.sweeps: asyncio.Queue[int] = asyncio.Queue()
        self.forgotten: list[tuple[str, str]] = []
        self.thorough = 0

    async def delete_orphans(self, *, older_than: timedelta, batch: int) -> int:
        assert older_than == timedelta(days=1)
        return 0

    async def delete_strays(self, *, younger_than: timedelta, batch: int) -> int:
        assert younger_than == timedelta(days=3)
        self.thorough += 1
        return 0

    async def due(self, *, batch: int) -> list[tuple[str, str]]:
        self.sweeps.put_nowait(1)
        outcome = self._outcomes.pop(0) if self._outcomes else []
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def forget(self, removed: list[tuple[str, str]]) -> None:
        self.forgotten += removed


def swift(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Have the sweeper wait for nothing but what the test is about."""
    for name in ("FIRST", "EVERY", "RETRY", "GATHER"):
        monkeypatch.setattr(sweep, f"_{name}_SECONDS", seconds.get(name.lower(), 0.0))


async def next_sweep(finder: Finder) -> None:
    async with asyncio.timeout(10):
        await finder.sweeps.get()


def sweeper(finder: Any, blobs: Blobs | None = None) -> Sweeper:
    return Sweeper(finder, blobs or Blobs.in_memory())


async def test_it_sweeps_after_the_start_and_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    swift(monkeypatch)
    finder = Finder()
    running = sweeper(finder)
    running.start()
    for _ in range(3):
        await next_sweep(finder)
    await running.stop()


async def test_it_sweeps_when_it_is_told_of_a_deletion_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swift(monkeypatch, first=3600, every=3600)
    finder = Finder()
    running = sweeper(finder)
    running.start()
    for _ in range(3):
        running.kick()
        await next_sweep(finder)
        assert finder.sweeps.empty()
    await running.stop()
    # What reads many files is not done with each deletion.
    assert finder.thorough == 1


@pytest.mark.parametrize(
    "make", [lambda: StoreUnavailable("Down."), lambda: RuntimeError("a driver's words")]
)
async def test_no_failure_ends_it_and_none_says_too_much(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, make: Callable[[], Exception]
) -> None:
    swift(monkeypatch)
    finder = Finder(make(), make())
    running = sweeper(finder)
    running.start()
    for _ in range(4):
        await next_sweep(finder)
    await running.stop()
    assert "could not be swept" in caplog.text or "failed" in caplog.text
    assert "a driver's words" not in caplog.text


async def test_a_key_that_is_none_of_ours_is_forgotten_and_harms_nothing() -> None:
    blobs = Blobs.in_memory()
    ours, theirs = ("me", new_file_key()), ("me", "../../etc/passwd")
    finder = Finder([theirs, ours])
    assert await sweeper(finder, blobs).sweep() == 2
    assert finder.forgotten == [theirs, ours]


async def test_one_file_that_cannot_be_removed_keeps_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blobs = Blobs.in_memory()
    stuck, *others = [("me", new_file_key()) for _ in range(20)]
    delete = blobs.delete

    async def partly(key: str) -> None:
        if key == stuck[1]:
            raise StoreUnavailable("Down.")
        await delete(key)

    monkeypatch.setattr(blobs, "delete", partly)
    finder = Finder([stuck, *others])
    with pytest.raises(StoreUnavailable):
        await sweeper(finder, blobs).sweep()
    assert finder.forgotten == others


async def test_it_ends_in_the_middle_of_a_step_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    swift(monkeypatch)
    monkeypatch.setattr(sweep, "_PATIENCE_SECONDS", 0.0)
    began, ended = asyncio.Event(), asyncio.Event()

    class Stuck(Finder):
        async def delete_orphans(self, *, older_than: timedelta, batch: int) -> int:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return 0

    running = sweeper(Stuck())
    running.start()
    async with asyncio.timeout(10):
        await began.wait()
        await running.stop()
    assert ended.is_set()


async def test_it_can_be_stopped_before_it_began() -> None:
    await sweeper(Finder()).stop()
