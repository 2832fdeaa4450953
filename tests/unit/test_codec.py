"""Between objects and stored text: nothing that was stored is lost by a release that cannot read it."""

import json
from typing import Any

import pytest
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.stores.changes import apply, changes_between, dump_thread, read_thread
from app.stores.codec import dump, dump_again, load_item, load_thread, without_nul
from tests.contract.strategies import json_values, thread_metadata
from tests.contract.talk import NOON, answer, message, thread


def stored_by_a_newer_release() -> dict[str, Any]:
    item = json.loads(answer().model_dump_json())
    item["mood"] = "sunny"
    item["content"][0]["language"] = {"code": "en"}
    return dict(item)


def test_fields_of_a_newer_release_survive_a_change_made_by_this_one() -> None:
    loaded = load_item(json.dumps(stored_by_a_newer_release()))
    assert isinstance(loaded, AssistantMessageItem)
    loaded.content[0].text = "changed"
    saved = json.loads(dump_again(loaded.model_copy(deep=True), load_item))
    expected = stored_by_a_newer_release()
    expected["content"][0]["text"] = "changed"
    assert saved == expected


def test_a_field_that_this_release_removed_does_not_come_back() -> None:
    loaded = load_item(message(quoted_text="quoted").model_dump_json())
    assert isinstance(loaded, UserMessageItem)
    loaded.quoted_text = None
    loaded.content = []
    assert json.loads(dump_again(loaded, load_item)) == json.loads(message(content=[]).model_dump_json())


def test_parts_that_change_places_keep_what_is_theirs() -> None:
    stored = stored_by_a_newer_release()
    stored["content"].append({**stored["content"][0], "text": "two", "language": {"code": "two"}})
    loaded = load_item(json.dumps(stored))
    assert isinstance(loaded, AssistantMessageItem)
    loaded.content.reverse()
    saved = json.loads(dump_again(loaded, load_item))
    assert [(part["text"], part["language"]["code"]) for part in saved["content"]] == [
        ("two", "two"),
        ("Hi", "en"),
    ]
    loaded.content.pop()
    saved = json.loads(dump_again(loaded, load_item))
    assert [part["language"]["code"] for part in saved["content"]] == ["two"]


def test_a_template_s_widget_is_replaced_and_not_mixed_with_the_one_before() -> None:
    def widget(root: dict[str, Any]) -> WidgetItem:
        return WidgetItem(
            id="w", thread_id="thr_1", created_at=NOON, widget=DynamicWidgetRoot.model_validate(root)
        )

    before = widget(
        {"type": "ListView", "extra": 1, "children": [{"type": "ListViewItem", "foo": 1, "children": []}]}
    )
    loaded = load_item(dump(before))
    now = widget({"type": "Card", "children": [{"type": "Text", "value": "a"}]})
    assert isinstance(loaded, WidgetItem)
    changed = loaded.model_copy(update={"widget": now.widget})
    assert json.loads(dump_again(changed, load_item)) == json.loads(dump(now))


def test_an_item_of_an_unknown_type_is_saved_as_it_was_stored() -> None:
    stored = json.dumps({**stored_by_a_newer_release(), "type": "hologram"})
    assert dump_again(load_item(stored), load_item) == stored


def test_an_item_that_is_nested_deeply_can_be_changed_and_saved() -> None:
    deep: Any = "bottom"
    for _ in range(220):
        deep = [deep]
    call = ClientToolCallItem(
        id="tc", thread_id="thr_1", created_at=NOON, call_id="c", name="n", arguments={"deep": deep}
    )
    loaded = load_item(dump(call))
    assert isinstance(loaded, ClientToolCallItem)
    loaded.output = "done"
    assert json.loads(dump_again(loaded, load_item))["output"] == "done"


def test_a_number_that_python_will_not_read_spoils_nothing_else() -> None:
    text = dump(thread()).replace('"metadata":{}', '"metadata":{"big":' + "9" * 5000 + ',"small":7}')
    assert load_thread(text).metadata["small"] == 7


@pytest.mark.parametrize("content", [object(), b"\xff\xfe"])
def test_what_json_cannot_hold_is_refused_in_words(content: Any) -> None:
    hidden = HiddenContextItem(id="h", thread_id="thr_1", created_at=NOON, content=content)
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        dump(hidden)


def test_half_a_surrogate_among_numbers_that_json_has_not() -> None:
    hidden = HiddenContextItem(
        id="h", thread_id="thr_1", created_at=NOON, content={"text": "\ud83d", "nan": float("nan")}
    )
    assert json.loads(dump(hidden))["content"] == {"text": "\ufffd", "nan": None}


def test_an_object_that_was_never_stored_is_written_as_it_is() -> None:
    assert dump_again(message(), load_item) == dump(message()) == message().model_dump_json()


def test_fields_of_a_newer_thread_survive_a_change_made_by_this_release() -> None:
    newer = json.dumps({**json.loads(thread().model_dump_json()), "pinned": True})
    loaded = read_thread(newer, "here")
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
