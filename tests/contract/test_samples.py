"""Proves that the samples of the store's contract cover the SDK, and what its own JSON does to them."""

import json
from typing import Any

import pytest
from chatkit.types import ThreadItem, ThreadItemBase, ThreadMetadata, WidgetItem
from chatkit.widgets import BasicRoot, Card, DynamicWidgetRoot, ListView
from hypothesis import given, settings
from pydantic import BaseModel, TypeAdapter

from tests.contract import strategies
from tests.contract.builder import DATETIMES, JSON_VALUE, UnfillableAnnotationError, smallest, variants
from tests.contract.samples import (
    ATTACHMENT,
    ITEM,
    attachment_types,
    full_attachments,
    full_item,
    full_thread,
    item_types,
    samples,
    status_types,
    template_items,
    type_name,
)
from tests.contract.shapes import reachable, unfilled_fields

pytestmark = pytest.mark.filterwarnings("ignore:Direct usage of named widget classes:DeprecationWarning")

KNOWN_TYPES = {
    "user_message",
    "assistant_message",
    "client_tool_call",
    "widget",
    "generated_image",
    "structured_input",
    "workflow",
    "task",
    "hidden_context_item",
    "sdk_hidden_context",
    "end_of_turn",
}

SAMPLES = samples("thread")
TEMPLATE_ITEMS = template_items("thread")


def reloaded(item: ThreadItem) -> ThreadItem:
    return ITEM.validate_json(item.model_dump_json())


def tolerantly_reloaded(item: ThreadItem) -> ThreadItem:
    return ITEM.validate_json(item.model_dump_json(), extra="allow")


def test_the_sdk_has_the_known_item_types() -> None:
    """A type new in the SDK has to be looked at before it is stored."""
    assert {type_name(model) for model in item_types()} == KNOWN_TYPES, (
        "The SDK's ThreadItem union changed: look at the new type, then list it here."
    )
    assert set(ITEM.json_schema()["discriminator"]["mapping"]) == KNOWN_TYPES


def test_the_sdk_has_the_known_attachments_and_statuses() -> None:
    assert {type_name(model) for model in attachment_types()} == {"file", "image"}
    assert {type_name(model) for model in status_types()} == {"active", "locked", "closed"}


def test_every_field_is_filled_somewhere() -> None:
    assert unfilled_fields(SAMPLES, ThreadItem) == []


def test_full_items_alone_fill_every_field_of_their_type() -> None:
    for item_type in item_types():
        item = full_item(item_type, id="item", thread_id="thread")
        own = [
            name for name in unfilled_fields([item], item_type) if name.startswith(f"{item_type.__name__}.")
        ]
        assert (item.id, item.thread_id, own) == ("item", "thread", [])


def test_threads_and_attachments_are_filled() -> None:
    threads = [full_thread("thread", status_type) for status_type in status_types()]
    assert unfilled_fields(threads, ThreadMetadata) == []
    assert {type(thread.status) for thread in threads} == set(status_types())
    for model in attachment_types():
        assert unfilled_fields([item for item in full_attachments() if type(item) is model], model) == []


def test_unfilled_fields_are_found() -> None:
    bare = [item for item in SAMPLES if item.type != "task"]
    assert "CustomTask.icon" not in unfilled_fields(bare, ThreadItem)
    bare = [item for item in bare if item.type != "workflow"]
    assert {"CustomTask.icon", "TaskItem.task"} <= set(unfilled_fields(bare, ThreadItem))
    assert "AttachmentUploadDescriptor.headers" in {
        *unfilled_fields([ITEM.validate_python(smallest(item_types()[0]))], ThreadItem)
    }


def test_the_walk_reaches_models_and_typed_dictionaries() -> None:
    names = {record.__name__ for record in reachable(ThreadItem)}
    assert {"AttachmentUploadDescriptor", "ToolChoice", "Chart", "ThemeColor", "DynamicWidgetRoot"} <= names


def test_ids_are_unique() -> None:
    assert len({item.id for item in SAMPLES}) == len(SAMPLES)
    attachments = full_attachments()
    assert len({attachment.id for attachment in attachments}) == len(attachments)


@pytest.mark.parametrize("item_type", item_types(), ids=type_name)
def test_every_type_has_every_kind_of_time(item_type: type[ThreadItemBase]) -> None:
    times = {item.created_at.isoformat() for item in SAMPLES if type(item) is item_type}
    assert times >= {time.isoformat() for time in DATETIMES}


def test_widget_roots_of_every_class_are_sampled() -> None:
    roots = {type(item.widget) for item in SAMPLES if isinstance(item, WidgetItem)}
    assert roots == {Card, ListView, BasicRoot, DynamicWidgetRoot}


@pytest.mark.parametrize("item", SAMPLES, ids=lambda item: item.id)
def test_samples_survive_their_own_json(item: ThreadItem) -> None:
    for loaded in (reloaded(item), tolerantly_reloaded(item)):
        assert loaded == item
        assert loaded.created_at.utcoffset() == item.created_at.utcoffset()
        assert loaded.model_dump_json() == item.model_dump_json()


def test_threads_and_attachments_survive_their_own_json() -> None:
    for status_type in status_types():
        thread = full_thread("thread", status_type)
        assert ThreadMetadata.model_validate_json(thread.model_dump_json(), extra="allow") == thread
    for attachment in full_attachments():
        assert ATTACHMENT.validate_json(attachment.model_dump_json(), extra="allow") == attachment


@settings(deadline=None)
@given(strategies.items("thread"))
def test_arbitrary_items_survive_their_own_json(item: ThreadItem) -> None:
    assert item.thread_id == "thread"
    for loaded in (reloaded(item), tolerantly_reloaded(item)):
        assert loaded == item
        assert loaded.model_dump_json() == item.model_dump_json()


@settings(deadline=None)
@given(strategies.thread_metadata())
def test_arbitrary_threads_survive_their_own_json(thread: ThreadMetadata) -> None:
    assert ThreadMetadata.model_validate_json(thread.model_dump_json()) == thread


class TestTheBuilder:
    def test_refuses_an_annotation_it_does_not_know(self) -> None:
        class New(BaseModel):
            value: complex

        with pytest.raises(UnfillableAnnotationError):
            variants(New)

    def test_gives_an_optional_field_a_value(self) -> None:
        class Nullable(BaseModel):
            value: list[int | None] | None = None

        assert variants(Nullable)[0]["value"]
        assert smallest(Nullable) == {}


class TestWhatTheSdkLoses:
    """Where the SDK's own classes do not keep what they were given; a store has to know these."""

    def test_unknown_fields_survive_loading_but_not_serializing(self) -> None:
        stored = '{"type":"end_of_turn","id":"i","thread_id":"t","created_at":"2025-01-01T00:00:00","new":1}'
        item = ITEM.validate_json(stored, extra="allow")
        assert item.model_extra == {"new": 1}
        assert "new" not in json.loads(item.model_dump_json())

    def test_unknown_fields_in_a_status_take_known_ones_with_them(self) -> None:
        item = ITEM.validate_python(_card(status={"text": "t", "icon": "bolt", "new": 1}), extra="allow")
        dumped = json.loads(item.model_dump_json())
        assert dumped["widget"]["status"] == {"text": "t"}

    def test_templates_become_strict_widgets(self) -> None:
        loaded = [item for item in map(reloaded, TEMPLATE_ITEMS) if isinstance(item, WidgetItem)]
        assert {type(item.widget) for item in TEMPLATE_ITEMS} == {DynamicWidgetRoot}
        assert [type(item.widget) for item in loaded] == [Card, Card, ListView, BasicRoot, DynamicWidgetRoot]

    @pytest.mark.parametrize("extra", [None, "allow"])
    def test_templates_lose_unknown_fields(self, extra: Any) -> None:
        item = TEMPLATE_ITEMS[1]
        assert json.loads(item.model_dump_json())["widget"]["x-new"] == JSON_VALUE
        loaded = ITEM.validate_json(item.model_dump_json(), extra=extra)
        assert "x-new" not in json.loads(loaded.model_dump_json())["widget"]

    def test_a_template_read_by_its_own_class_loses_nothing(self) -> None:
        adapter = TypeAdapter(DynamicWidgetRoot)
        for item in TEMPLATE_ITEMS:
            assert adapter.validate_json(item.widget.model_dump_json()) == item.widget

    def test_nulls_in_widgets_are_dropped(self) -> None:
        item = DynamicWidgetRoot.model_validate({"type": "Card", "data": {"null": None, "list": [1, None]}})
        assert json.loads(item.model_dump_json())["data"] == {"list": [1]}

    def test_a_chart_without_a_label_becomes_a_dynamic_component(self) -> None:
        series = {"type": "bar", "label": None, "dataKey": "key"}
        chart = {"type": "Chart", "data": [], "series": [series], "xAxis": "key"}
        item = ITEM.validate_python(_card(children=[chart]))
        assert reloaded(item) != item


def _card(**fields: Any) -> dict[str, Any]:
    return {**smallest(WidgetItem), "widget": {"type": "Card", "children": [], **fields}}
