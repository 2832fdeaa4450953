"""At 100 million threads every statement of an owner still reads what the owner has, and no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import create_engine
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from app.stores import NeonChatKitStore
from benchmarks.scale import cost, distinct, page, partitions, simulation
from benchmarks.scale.plans import READS_ALL
from benchmarks.scale.simulation import LARGE, SHOWN, STATES, UNKNOWN, Simulated
from benchmarks.scale.sizes import Sizes
from benchmarks.scale.statements import is_owners
from benchmarks.tables import Table
from tests.contract.talk import all_items, begin, message, thread
from tests.support.owners import Owner
from tests.support.postgres import Databases

SAMPLE = 2_000
"""Threads: enough for measured statistics, few enough for a test."""
GROWTH = 1.5
"""Indexes are a level or two higher at a hundred times the size; nothing else may cost more."""
READS_ALL_UNKNOWN = {"events.stamps"}
"""A list of owners; without statistics PostgreSQL takes it for ten of two hundred."""
OPEN_ALL = {
    *("items.load", "items.page.asc.after", "items.page.desc.after", "items.delete", "items.delete_after"),
    *("items.save_feedback", "requests.begin_thread", "requests.begin_turn"),
    *("requests.renew", "events.stamps"),
}
"""What finds an item by its id, and what is about many owners. The first asks each partition for one row."""


@pytest_asyncio.fixture(scope="module")
async def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("scale")
    with EmbeddedPostgres(folder, settings=simulation.SETTINGS) as server:
        await asyncio.to_thread(migrate, server.url)
        return await simulation.simulate(server, SAMPLE)


def test_the_planner_believes_in_the_large_site(simulated: Simulated) -> None:
    threads, items = (simulated.sample.relation(name) for name in ("chat_threads", "chat_thread_items"))

    assert threads.rows * simulated.factor == pytest.approx(LARGE)
    assert items.rows * simulated.factor > 1_000_000_000
    # The service finds old threads among everybody's: expensive, and a fault if an owner's did it.
    sweep = simulated.large["retention.look", SHOWN]
    assert sweep.cost > 1_000_000
    assert "reads all of chat_threads" in sweep.faults


@pytest.mark.parametrize("state", [state for state in STATES if state != UNKNOWN])
def test_no_statement_of_an_owner_reads_beyond_the_owner(simulated: Simulated, state: str) -> None:
    assert simulated.faults(states=[state]) == []


def test_without_statistics_no_statement_of_an_owner_reads_a_whole_table(simulated: Simulated) -> None:
    faults = simulated.faults(states=[UNKNOWN])

    known = tuple(READS_ALL_UNKNOWN)
    assert [fault for fault in faults if "reads all" in fault and not fault.startswith(known)] == []


def test_no_statement_of_an_owner_costs_more_at_a_hundred_times_the_size(simulated: Simulated) -> None:
    names = [name for name in simulated.small if is_owners(name) and name not in READS_ALL]

    assert len(names) > 50
    assert {name: simulated.growth(name) for name in names if simulated.growth(name) > GROWTH} == {}


def test_analyze_is_estimated_as_postgresql_does() -> None:
    alone, pairs = Counter({1: 1_000}), Counter({2: 1_000})

    assert distinct.estimated(distinct.drawn(alone, 1e9), 1e12) == -1.0
    # Few of a million pairs are drawn twice, and PostgreSQL takes them for more than there are.
    assert -1.0 < distinct.estimated(distinct.drawn(pairs, 1_000), 2e6) < -0.3
    assert distinct.estimated(Counter({3: 100}), 1e9) == 100


@pytest_asyncio.fixture
async def partitioned(databases: Databases) -> AsyncIterator[AsyncEngine]:
    async with databases.fresh() as url:
        await partitions.partition(url, 4)
        engine = create_engine(url)
        yield engine
        await engine.dispose()


async def test_a_store_on_partitions_keeps_what_it_is_given(partitioned: AsyncEngine, owner: Owner) -> None:
    store: NeonChatKitStore[Any] = NeonChatKitStore(partitioned)
    messages = [message(f"msg_{number}") for number in range(4)]

    await begin(store, owner, messages)
    await store.save_thread(thread(title="Again"), owner)
    await store.delete_thread_item("thr_1", "msg_1", owner)
    rest = await store.load_thread_items("thr_1", "msg_0", 10, "asc", owner)

    assert rest.data == messages[2:]
    assert (await store.load_thread("thr_1", owner)).title == "Again"
    assert await store.load_item("thr_1", "msg_2", owner) == messages[2]
    await store.delete_thread("thr_1", owner)
    assert await all_items(store, owner) == []


async def test_only_what_finds_an_item_by_its_id_opens_more_than_one_partition(databases: Databases) -> None:
    async with databases.fresh() as url:
        pruned = await partitions.pruned(url, 4, threads=50)

    assert {one.statement for one in pruned if one.most > 1} == OPEN_ALL


def test_a_page_is_filled_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- begin sums -->\nold\n<!-- end sums -->\nbehind\n")

    page.fill(path, {"sums": Table("Sums", ("a", "b"), rows=[("1", "2")])})

    filled = path.read_text()
    assert filled.startswith("before\n<!-- begin sums -->\n\n| a | b |\n")
    assert filled.endswith("| 1 | 2 |\n\n<!-- end sums -->\nbehind\n")
    with pytest.raises(ValueError, match="no place for the table others"):
        page.fill(path, {"others": Table("Others", ())})


def test_a_bill_is_the_sum_of_what_is_stored_kept_run_and_sent() -> None:
    size = Sizes(said=500, table=600, indexes=300, threads=100, wal=2_000)
    site = cost.Site("one", cost.Prices(0.1), 1, 12, compute=1, hours=100, history_days=30, reads=300)

    bill = cost.bill(site, size)

    assert bill.storage == pytest.approx(12 * 0.35)
    assert bill.history == pytest.approx(2 * 0.20)
    assert bill.compute == pytest.approx(10)
    assert bill.egress == pytest.approx((150 - cost.FREE_EGRESS) * 0.10)
    assert bill.total == pytest.approx(4.2 + 0.4 + 10 + 5)
