"""Twice as many records are twice the work, whatever they have in common."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from migrations_data.check import check
from migrations_data.owners import OwnerRule
from migrations_data.progress import Progress
from migrations_data.read_json import read_json
from migrations_data.stage import Stage
from migrations_data.times import Clock
from tests.support.stores import put, said, thread

FEW, MANY = 200, 800
STEPS = 100


def equal_placeholders(number: int) -> Any:
    items = [said("__fake_id__", "t1", "ok")] * number
    return {"threads": [thread("t1")], "items": {"t1": items}}


def standing_twice(number: int) -> Any:
    items = [said(f"m{n}", "t1", "x" * 300) for n in range(number)]
    return {"threads": [thread("t1", items=items)], "items": {"t1": items}}


def equal_and_standing_twice(number: int) -> Any:
    items = [said("__fake_id__", "t1", "ok")] * number
    return {"threads": [thread("t1", items=items)], "items": {"t1": items}}


def one_id(number: int) -> Any:
    items = [said("m1", "t1", str(n)) for n in range(number)]
    return {"threads": [thread("t1")], "items": {"t1": items}}


def under_other_names(number: int) -> Any:
    ids = [f"t{n}" for n in range(number)]
    threads = {str(n): thread(key) for n, key in enumerate(ids)}
    return {"threads": threads, "items": {key: [said("m1", key, "x")] for key in ids}}


def work(path: Path, users: dict[str, str]) -> int:
    """Return how much the database of the stage had to do for a store, in its own steps."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    stage = Stage(path.parent)
    stage.db.set_progress_handler(count, STEPS)
    with Progress("read", 1, "") as progress:
        read_json(path, stage, progress)
        check(stage, OwnerRule("alice", users), Clock(UTC), now=0, progress=progress)
    stage.close()
    return steps


@pytest.mark.parametrize(
    "store", [equal_placeholders, standing_twice, equal_and_standing_twice, one_id, under_other_names]
)
def test_work_grows_with_the_number_of_records(tmp_path: Path, store: Any) -> None:
    took = []
    for number in (FEW, MANY):
        users = {f"{n} of nobody": "bob" for n in range(number)}
        took.append(work(put(tmp_path, json.dumps(store(number)), f"{number}.json"), users))
    # As a tree grows deeper its steps become a little more; their square would be sixteen times.
    assert took[1] < took[0] * 6


def test_what_stands_before_an_item_is_found_without_reading_other_threads(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    store = {"threads": [thread(f"t{n}") for n in range(MANY)]}
    items = {f"t{n}": [said("m1", f"t{n}", "x"), said("m2", f"t{n}", "x")] for n in range(MANY)}
    with Progress("read", 1, "") as progress:
        read_json(put(tmp_path, store | {"items": items}), stage, progress)
        check(stage, OwnerRule("alice"), Clock(UTC), now=0, progress=progress)
    first, second = list(stage.items(0, stage.units))[-2:]
    stage.db.set_progress_handler(lambda: 1, MANY)
    assert stage.item_before(first) is None
    assert stage.item_before(second) == (first.n, "m1")
    stage.close()
