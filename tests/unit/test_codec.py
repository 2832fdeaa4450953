"""Between objects and stored text: nothing that was stored is lost by a release that cannot read it."""

import json
from typing import Any

import pytest
from chatkit.types import AssistantMessageItem, ThreadMetadata, UserMessageItem
from hypothesis import given
from hypothesis import strategies as st

from app.stores.changes import apply, changes_between, dump_thread, read_thread
from app.stores.codec import dump, dump_again, load_item, without_nul
from tests.contract.strategies import json_values, thread_metadata
from tests.contract.talk import answer, message, thread


def stored_by_a_newer_release() -> dict[str, Any]:
    item = json.loads(answer().model_dump_json())
    item["mood"] = "sunny"
    item["content"][0]["language"] = {"code": "en"}
    return dict(item)


def test_fields_of_a_newer_release_survive_a_change_made_by_this_one() -> None:
    loaded = load_item(json.dumps(stored_by_a_newer_release()))
    assert isinstance(loaded, AssistantMessageItem)
    loaded.content[0].text = "changed"
    saved = json.loads(dump_again(loaded.model_copy(deep=True)))
    expected = stored_by_a_newer_release()
    expected["content"][0]["text"] = "changed"
    assert saved == expected


def test_a_field_that_this_release_removed_does_not_come_back() -> None:
    loaded = load_item(message(quoted_text="quoted").model_dump_json())
    assert isinstance(loaded, UserMessageItem)
    loaded.quoted_text = None
    loaded.content = []
    assert json.loads(dump_again(loaded)) == json.loads(message(content=[]).model_dump_json())


def test_an_object_that_was_never_stored_is_written_as_it_is() -> None:
    assert dump_again(message()) == dump(message()) == message().model_dump_json()


def test_fields_of_a_newer_thread_survive_a_change_made_by_this_release() -> None:
    newer = json.dumps({**json.loads(thread().model_dump_json()), "pinned": True})
    loaded = read_thread(newer)
    before = dump_thread(loaded)
    loaded.title = "Changed"
    merged = json.loads(apply(changes_between(before, dump_thread(loaded)), newer))
    assert (merged["pinned"], merged["title"]) == (True, "Changed")


@given(
    before=thread_metadata(),
    now=thread_metadata(),
    metadata=st.dictionaries(st.sampled_from("abc"), json_values()),
)
def test_applying_what_changed_makes_one_thread_the_other(
    before: ThreadMetadata, now: ThreadMetadata, metadata: dict[str, Any]
) -> None:
    before.metadata |= metadata
    old, new = dump_thread(before), dump_thread(now)
    assert json.loads(apply(changes_between(old, new), old)) == json.loads(new)


def test_a_thread_that_did_not_change_writes_nothing() -> None:
    text = dump_thread(thread(metadata={"a": 1e23}))
    assert not changes_between(text, text)


@pytest.mark.parametrize("change", [(1, 1.0), (1, True), (0.0, -0.0), ({}, []), (None, "null")])
def test_values_that_python_holds_equal_are_still_changes(change: tuple[Any, Any]) -> None:
    one, other = (dump_thread(thread(metadata={"key": value})) for value in change)
    assert changes_between(one, other).metadata_keys == ["key"]


@given(text=st.text(alphabet=["\x00", "\\", "u", "0", "a", '"'], max_size=12))
def test_only_the_character_nul_is_replaced(text: str) -> None:
    assert json.loads(without_nul(json.dumps(text))) == text.replace("\x00", "\ufffd")
