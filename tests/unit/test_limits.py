"""Rates and what is counted as one, and the answers that one owner may have in progress."""

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from limits import parse

from app.chat.turns import RunningTurn, Turns
from app.errors import TooManyRequests
from app.limits import RateLimits
from app.limits.memory import MemoryCounts
from app.limits.rates import network_of


class Clock:
    """The time of day, as the test wants it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


async def admitted(limits: RateLimits, owner: str = "alice") -> int:
    """Ask until refused; return how often it went well."""
    count = 0
    while True:
        try:
            await limits.admit_owner(owner)
        except TooManyRequests:
            return count
        count += 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::5", "::/64"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("unknown", "unknown"),
    ],
)
def test_what_an_address_is_counted_as(address: str, network: str | None) -> None:
    assert network_of(address) == network


async def test_an_owner_is_refused_beyond_the_rate_and_others_are_not(clock: Clock) -> None:
    limits = RateLimits("3/minute", "100/minute", "100/minute")
    assert await admitted(limits) == 3
    assert await admitted(limits, "bob") == 3


async def test_after_retry_after_the_next_request_is_admitted(clock: Clock) -> None:
    limits = RateLimits("3/minute", "100/minute", "100/minute")
    for _ in range(20):
        await admitted(limits)
        with pytest.raises(TooManyRequests) as refused:
            await limits.admit_owner("alice")
        assert 1 <= refused.value.retry_after <= 60
        assert str(refused.value.retry_after) in str(refused.value) or refused.value.retry_after == 1
        clock.now += refused.value.retry_after
        await limits.admit_owner("alice")


async def test_a_full_window_does_not_open_at_once_for_as_many_again(clock: Clock) -> None:
    limits = RateLimits("100/minute", "100/minute", "100/minute")
    clock.now += 60 - clock.now % 60 - 1
    assert await admitted(limits) == 100
    clock.now += 2
    assert await admitted(limits) < 5
    clock.now += 120
    assert await admitted(limits) == 100


async def test_every_one_of_several_rates_holds(clock: Clock) -> None:
    limits = RateLimits("5/minute;2/second", "100/minute", "100/minute")
    assert await admitted(limits) == 2
    clock.now += 2
    assert await admitted(limits) == 2
    clock.now += 2
    assert await admitted(limits) == 1


async def test_addresses_of_one_network_count_together_and_this_machine_does_not() -> None:
    limits = RateLimits("100/day", "2/day", "100/day")
    for _ in range(10):
        await limits.admit_address("127.0.0.1")
        await limits.admit_address("::1")
        await limits.admit_address(None)
    await limits.admit_address("2001:db8::1")
    await limits.admit_address("2001:db8::2")
    with pytest.raises(TooManyRequests):
        await limits.admit_address("2001:db8::3")
    await limits.admit_address("203.0.113.7")


async def test_any_text_can_be_an_owner() -> None:
    limits = RateLimits("1/day", "1/day", "100/day")
    for owner in ("", "\ud800", "x" * 10_000, "a\x00b", "a/b", "a"):
        await limits.admit_owner(owner)


async def test_invented_owners_take_bounded_memory() -> None:
    counts = MemoryCounts(most=10)
    rate = parse("5/day")
    for number in range(1000):
        await counts.acquire_sliding_window_entry(rate.key_for(str(number)), 5, 86_400)
        assert await counts.acquire_sliding_window_entry(rate.key_for("regular"), 1000, 86_400)
    assert len(counts) == 10
    assert (await counts.get_sliding_window(rate.key_for("regular"), 86_400))[2] == 1000


async def test_what_is_long_over_is_forgotten(clock: Clock) -> None:
    counts = MemoryCounts()
    for number in range(100):
        await counts.acquire_sliding_window_entry(str(number), 5, 60)
    clock.now += 180
    for number in range(60):
        await counts.acquire_sliding_window_entry(f"new {number}", 5, 60)
    assert len(counts) == 60


def last_words(error: Exception) -> bytes:
    return b""


async def test_an_owner_s_turns_are_counted_until_they_have_ended() -> None:
    """A turn that was abandoned still stores what was said."""
    turns = Turns(2)
    stored = asyncio.Event()

    async def answer() -> AsyncIterator[bytes]:
        try:
            yield b"Half"
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await stored.wait()

    first, _ = (turns.start(RunningTurn("alice", answer(), last_words)) for _ in range(2))
    await first.begun()
    assert await anext(first.read()) == b"Half"
    started = False

    async def never() -> AsyncIterator[bytes]:
        nonlocal started
        started = True
        yield b""

    for _ in range(2):
        with pytest.raises(TooManyRequests) as refused:
            turns.start(RunningTurn("alice", never(), last_words))
        assert 1 <= refused.value.retry_after <= 5
        first.abandon()
        await asyncio.sleep(0)
    assert not started
    assert (turns.of("alice"), turns.of("bob"), len(turns)) == (2, 0, 2)
    turns.start(RunningTurn("bob", never(), last_words))
    stored.set()
    await turns.close(0)
    assert started
    assert (turns.of("alice"), turns.of("bob"), len(turns)) == (0, 0, 0)
    turns.start(RunningTurn("alice", never(), last_words))
    await turns.close(10)
