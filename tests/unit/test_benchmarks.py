"""The benchmarks run, find what they must find at any speed, and draw the same plot for the same numbers."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.chat.context import ChatContext
from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks import __main__ as command
from benchmarks import breakdown, events, growth, over_http, session_calls, store_calls, turns
from benchmarks.cases import seed
from benchmarks.charts import Bars, Lines, Panel, Report
from benchmarks.crowd import closed_loop
from benchmarks.plots import draw
from benchmarks.servers import history
from benchmarks.tables import Table

LENGTH = 120
"""A page of 100 and some more."""


@pytest.fixture(scope="module", autouse=True)
def _small_collections() -> Iterator[None]:
    """Leave what other tests made out of the collections before each measurement; they would take longest."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def column(table: Table, name: str) -> list[str]:
    place = list(table.columns).index(name)
    return [row[place] for row in table.rows]


async def test_store_calls_are_compared_and_are_one_round_trip(database_url: str) -> None:
    data = await seed(database_url, length=LENGTH)

    report = await store_calls.run(database_url, data, network_ms=[], scale=0.01, only="_item")
    through_wire = await store_calls.run(database_url, data, network_ms=[0.5], scale=0.01, only="load_item")

    (near,), (_, far) = report.tables, through_wire.tables
    assert set(column(near, "round trips")) == {"1"}
    assert set(column(near, "pooled")) <= {"1", "2"}
    assert column(far, "call") == ["load_item"]


async def test_the_agents_sessions_calls_are_compared_on_the_same_conversations(database_url: str) -> None:
    data = await seed(database_url, length=LENGTH)

    report = await session_calls.run(database_url, data, network_ms=[], scale=0.01, only="the")
    far = await session_calls.run(database_url, data, network_ms=[0.5], scale=0.01, only="add an")

    trips = {row[0]: row[1:] for row in report.tables[0].rows}
    for call in ("read the last 20", "read the last 100"):
        ours, floor, agents = map(float, trips[call])
        assert (ours, floor) == (1, 1)
        assert agents > 1
    (chart,) = far.charts
    assert isinstance(chart, Bars)
    assert chart.groups == ["add an item"]


async def test_turns_of_every_server_end_well(database_url: str) -> None:
    report = await turns.run(database_url, users=[50], words=3, scale=0.001)

    (table,) = report.tables
    assert len(table.rows) == 3
    assert set(column(table, "errors")) == {"0"}


async def test_a_thousand_users_stream_over_ten_connections(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=turns.CONNECTIONS)
    try:
        serve = history(NeonChatKitStore[ChatContext](engine))
        result = await closed_loop(serve, 1000, turns=1, words=3)
    finally:
        await engine.dispose()

    assert result.errors == 0
    assert len(result.latencies) == 1000
    await turns.check_stored(database_url, [result])


async def test_the_parts_of_a_turn_add_up(database_url: str) -> None:
    report = await breakdown.run(database_url, users=[20], words=3, scale=0.01)

    cpu, waits = ([float(cell) for cell in column(table, "20 users")] for table in report.tables)
    assert sum(cpu[:3]) == pytest.approx(cpu[3], abs=0.02)
    assert sum(waits[:3]) == pytest.approx(waits[3], abs=0.02)
    assert all(wait > 0 for wait in waits[1:4])


async def test_growth_is_measured_by_blocks_and_by_time(database_url: str) -> None:
    report = await growth.run(database_url, rows=20_000)

    blocks, times, lists = report.tables
    assert list(times.columns[1:]) == ["10", "100", "1,000", "10,000"]
    verdicts = {row[0]: row[-1] for row in blocks.rows}
    assert verdicts["last 20, analysed, generic plan"] == "fine"
    assert lists.rows
    assert {row[0] for row in times.rows} >= {"first 20", "last 20", "20 deep", "20 deepest"}


async def test_announcing_is_measured_in_each_way(database_url: str) -> None:
    report = await events.run(database_url, users=3, words=3, scale=0.001)

    cost, delay = report.tables
    assert {row[0] for row in cost.rows} >= {"nothing (off)", "NOTIFY"}
    assert column(cost, "errors") == ["0"] * len(cost.rows)
    assert all(float(p50) > 0 for p50 in column(delay, "p50 ms"))


async def test_the_demo_is_measured_over_http() -> None:
    report = await over_http.run(0.01)

    assert all(float(p50) > 0 for p50 in column(report.tables[0], "p50 ms"))


def test_the_command_writes_tables_and_plots(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, folder = tmp_path / "page.md", tmp_path / "plots"
    arguments = f"--parts turns --users 1 --scale 0.001 --no-freeze --database-url {database_url}"
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", *arguments.split(), "--markdown", str(page), "--plots", str(folder)]
    )

    command.main()

    assert "| ours, PostgreSQL | 1 |" in page.read_text()
    assert [file.name for file in folder.iterdir()] == ["turns.svg"]


def test_the_same_numbers_are_the_same_file(tmp_path: Path) -> None:
    lines = {"ours, p50": [(1.0, 2.0), (10.0, 3.0)], "other, p50": [(1.0, 4.0), (10.0, 5.0)]}
    report = Report(
        charts=[
            Bars("bars", "ms", ["add", "read"], {"ours": [1.0, 2.0], "floor": [0.5, 1.5]}),
            Lines("lines", [Panel("users", "ms", lines, log_y=True), Panel("users", "turns/s", lines)]),
        ]
    )

    first, second = (draw(report.charts, tmp_path / name) for name in ("first", "second"))

    assert [file.name for file in first] == ["bars.svg", "lines.svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    for file in first:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")  # noqa: S314 - our own
