"""What the load run's verdict rests on: it has to see what leaks, what is lost, and nothing else."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tables import percentile
from chaos.snapshot import ANSWER, MESSAGE, Row, Snapshot
from load.check import compare
from load.connection import Connection, Lost
from load.crowd import Outcome
from load.figures import Figures
from load.listening import Stream
from load.page import BEGIN, END, replaced
from load.user import Sent
from load.verdict import Level, trend

MB = 2.0**20
SECONDS = range(120)
HEIGHTS = st.floats(-1e9, 1e9)


def noise(seed: int, most: float) -> list[float]:
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable
    return [chance.uniform(0, most) for _ in SECONDS]


def level(heights: list[float], after: float = 0.0, *, is_steady: bool = True) -> Level:
    during = [(float(second), height) for second, height in zip(SECONDS, heights, strict=False)]
    return Level("memory", 0.0, during, after, may_grow=8 * MB, may_stay=16 * MB, is_steady=is_steady)


@given(st.floats(-100, 100), st.floats(-1e6, 1e6), st.lists(st.integers(0, 10_000), min_size=2, unique=True))
def test_the_trend_of_a_line_is_its_slope(slope: float, height: float, moments: list[int]) -> None:
    points = [(float(moment), height + slope * moment) for moment in moments]
    assert trend(points) == pytest.approx(slope, abs=1e-6 * max(1.0, abs(height)))


@given(st.lists(HEIGHTS, min_size=15, max_size=15))
def test_a_few_points_far_off_do_not_tilt_a_trend(wild: list[float]) -> None:
    points = [(float(second), 3.0 * second) for second in SECONDS]
    for place, height in enumerate(wild):
        points[place * 8] = (points[place * 8][0], height)
    assert trend(points) == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_what_grows_with_each_turn_leaks(seed: int) -> None:
    leak = [0.15 * MB * second for second in SECONDS]  # 600 bytes for each of 250 turns a second
    grows = level([one + other for one, other in zip(leak, noise(seed, 4 * MB), strict=True)])
    assert grows.complaint is not None
    assert "grew by" in grows.complaint


@pytest.mark.parametrize("seed", range(5))
def test_what_rises_and_falls_does_not(seed: int) -> None:
    sawtooth = [(second % 30) / 30 * 10 * MB for second in SECONDS]
    flat = level([one + other for one, other in zip(sawtooth, noise(seed, 4 * MB), strict=True)])
    assert flat.complaint is None


def test_what_fills_in_the_beginning_does_not_leak() -> None:
    assert level([min(second, 30) * MB for second in SECONDS]).complaint is None


def test_what_is_left_when_all_have_gone_leaks() -> None:
    left = level([0.0 for _ in SECONDS], after=17 * MB).complaint
    assert left is not None
    assert "left when all have gone" in left
    assert level([0.0 for _ in SECONDS], after=15 * MB).complaint is None


def test_under_a_growing_load_there_is_no_trend_to_judge_but_what_is_left_counts() -> None:
    grows = [MB * second for second in SECONDS]
    assert level(grows, is_steady=False).growth is None
    assert level(grows, is_steady=False).complaint is None
    assert level(grows, after=17 * MB, is_steady=False).complaint is not None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100


STREAM = (
    'id: r:1:1\ndata: {"type":"thread.created","thread":{"id":"thr_1"}}\n\n'
    'id: r:1:2\ndata: {"type":"thread.item.done","item":{"type":"user_message","id":"msg_1",'
    '"content":[]}}\n\n'
    'id: r:1:3\ndata: {"type":"thread.item.updated","update":{"delta":"日本"}}\n\n'
    'id: r:1:4\ndata: {"type":"thread.item.done","item":{"type":"assistant_message","id":"msg_2",'
    '"content":[{"text":"日本 \u0085語"}]}}\n\n'
    ": end\n\n"
).encode()


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_says_the_same_however_it_is_cut(cuts: list[int]) -> None:
    stream = Stream()
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(places):
        assert not stream(STREAM[begin:end])
    assert stream.heard.thread_id == "thr_1"
    assert stream.heard.message_ids == {"msg_1"}
    assert stream.heard.answers == {"msg_2": "日本 \u0085語"}
    assert stream.heard.ended
    assert stream.stored_at is not None
    assert stream.first_words_at is not None


def test_a_stream_can_be_left() -> None:
    stream = Stream(leave_after=2)
    first, second, *_ = STREAM.split(b"\n\n")
    assert not stream(first + b"\n\n")
    assert stream(second + b"\n\n")


OUTCOME = Outcome(
    Figures(), {"ada": [Sent("thr_1", ["one", "two"])]}, {}, connections=1, began=0.0, ended=1.0, cpu=0.1
)
ROWS = [
    Row("ada", "thr_1", f"msg_{position}", position, kind, text)
    for position, (kind, text) in enumerate(
        [(MESSAGE, "one"), (ANSWER, "one"), (MESSAGE, "two"), (ANSWER, "two")]
    )
]


def faults(rows: list[Row], threads: list[tuple[str, str]] | None = None) -> list[str]:
    snapshot = Snapshot(rows, [("ada", "thr_1")] if threads is None else threads, {}, {})
    return [complaint.fault for complaint in compare([OUTCOME], snapshot)]


def test_what_is_stored_as_it_was_sent_is_fine() -> None:
    assert faults(ROWS) == []
    assert faults(ROWS[::-1]) == []


def test_what_is_lost_doubled_moved_or_somebody_elses_is_seen() -> None:
    assert faults(ROWS[:-1]) == ["lost"]
    assert faults([]) == faults([], threads=[]) == ["lost"]
    assert faults([*ROWS, replace(ROWS[0], item_id="msg_9", position=9)]) == ["doubled"]
    assert faults([replace(ROWS[0], position=2), ROWS[1], replace(ROWS[2], position=0), ROWS[3]]) == [
        "out of order"
    ]
    assert sorted(faults([replace(row, owner="bob") for row in ROWS])) == ["lost", "stray"]
    assert faults(ROWS, threads=[("ada", "thr_1"), ("ada", "thr_2")]) == ["stray"]


def test_of_a_message_whose_fate_nobody_told_nothing_is_said() -> None:
    unsure = replace(OUTCOME, unsure={"ada": ["three"]})
    rows = [*ROWS, Row("ada", "thr_1", "msg_9", 9, MESSAGE, "three")]
    assert list(compare([unsure], Snapshot(rows, [("ada", "thr_1")], {}, {}))) == []


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[Connection, list[int]]]:
    """Serve these answers, one for each request; hang up behind an empty one."""
    left, served = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        while await reader.readuntil(b"\r\n\r\n"):
            answer = left.pop(0)
            if not answer:
                break
            served[-1] += 1
            writer.write(answer)
            if not answer.endswith(b"\n"):
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = Connection(*server.sockets[0].getsockname())
    try:
        yield connection, served
    finally:
        connection.close()
        server.close()
        await server.wait_closed()


WHOLE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none"
ASK = b"GET / HTTP/1.1\r\n\r\n"


async def test_one_connection_carries_one_request_after_the_other() -> None:
    async with answering(WHOLE, WHOLE) as (connection, served):
        assert [(await connection.ask(ASK)).body for _ in range(2)] == [b"onetwo", b"onetwo"]
    assert served == [2]


async def test_a_request_that_meets_the_closing_of_its_connection_is_sent_again() -> None:
    async with answering(WHOLE, b"", WHOLE) as (connection, served):
        assert [(await connection.ask(ASK)).body for _ in range(2)] == [b"onetwo", b"onetwo"]
    assert served == [1, 1]


async def test_an_answer_that_breaks_off_is_lost_and_not_asked_for_in_silence() -> None:
    async with answering(WHOLE, HALF, WHOLE) as (connection, served):
        await connection.ask(ASK)
        with pytest.raises(Lost):
            await connection.ask(ASK)
    assert served == [2]


async def test_who_leaves_an_answer_gets_the_next_one_whole() -> None:
    async with answering(WHOLE, WHOLE) as (connection, served):
        assert (await connection.ask(ASK, lambda piece: piece == b"one")).is_left
        assert (await connection.ask(ASK)).body == b"onetwo"
    assert served == [1, 1]


def test_results_stand_between_the_marks_of_a_page() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(page, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replaced(replaced(page, "new"), "new") == replaced(page, "new")
    for broken in ("", BEGIN, END, f"{END}{BEGIN}", page + page):
        with pytest.raises(ValueError, match="once each"):
            replaced(broken, "new")
