"""Ids of the store's own making."""

import re
from typing import Any, get_args

import pytest
from chatkit.store import Store, StoreItemType

from tests.contract.talk import thread
from tests.support.owners import Owner

PREFIXES = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}


def test_the_sdk_has_the_known_kinds_of_id() -> None:
    assert set(get_args(StoreItemType)) == set(PREFIXES)


@pytest.mark.parametrize("kind", get_args(StoreItemType))
def test_item_ids_have_the_prefix_and_128_bits(store: Store[Any], owner: Owner, kind: StoreItemType) -> None:
    made = store.generate_item_id(kind, thread(), owner)
    assert re.fullmatch(PREFIXES[kind] + "_[-0-9A-Z_a-z]{22}", made)


def test_thread_ids_are_unique_and_in_order_of_time(store: Store[Any], owner: Owner) -> None:
    made = [store.generate_thread_id(owner) for _ in range(5000)]
    assert all(re.fullmatch("thr_[-0-9A-Z_a-z]{22}", one) for one in made)
    assert made == sorted(set(made))
