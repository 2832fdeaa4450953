"""Which stores the suite runs on: ours, or the one that --store-factory names."""

import importlib
from typing import Any

import pytest
from chatkit.store import Store

from app.stores import MemoryStore, NeonChatKitStore


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        factory = metafunc.config.getoption("--store-factory")
        metafunc.parametrize("store", [factory] if factory else ["neon", "memory"], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store[Any]:
    """Return the store under test. Tests keep apart by owner, so it may be shared between them."""
    if request.param == "neon":
        return NeonChatKitStore(request.getfixturevalue("shared_engine"))
    if request.param == "memory":
        return MemoryStore()
    module, _, function = request.param.partition(":")
    made: Store[Any] = getattr(importlib.import_module(module), function)()
    return made
