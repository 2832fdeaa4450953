"""From items as they were read to the rows that they become."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from chatkit.types import HiddenContextItem, ThreadItem, UserMessageItem
from pydantic import ValidationError

from app.errors import InvalidRequest
from app.stores.codec import dump, load_item, load_items
from app.stores.ids import PLACEHOLDER_IDS, id_from, id_kind, is_storable
from migrations_data.check_exports import OF_ITEM, tell_beyond
from migrations_data.check_fields import fields_to_fill
from migrations_data.content_rows import is_content_row, item_from_row
from migrations_data.json_text import (
    TWICE,
    Decoder,
    dumps,
    members,
    object_of,
    original,
    with_members,
    without_surrogates,
)
from migrations_data.stage import Stage
from migrations_data.times import Clock
from migrations_data.units import ItemUnit, RawItem, ThreadUnit, moment

_DECODER = Decoder()
_BATCH = 200
_SHALLOW = 100
"""So many brackets are not deep, wherever they stand."""
_NAMES = ('"id"', '"thread_id"', '"created_at"')
_HIDDEN = "hidden_context_item"
_FEEDBACK = (None, "positive", "negative")


@dataclass(slots=True)
class _Row:
    """An item on its way."""

    unit: ItemUnit
    raw: int
    changed: bool


class ItemCheck:
    """Makes rows of a thread's items, and notes what it had to put right."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock

    def stage_items(self, thread: ThreadUnit, key: str) -> int | None:
        """Stage the items of a thread in their order; return the time of the newest, None without any."""
        newest: int | None = None
        waiting: list[_Row] = []
        for row in self._rows(thread, key):
            newest = row.unit.created if newest is None else max(newest, row.unit.created)
            waiting.append(row)
            if len(waiting) == _BATCH:
                self._put(thread, waiting)
                waiting = []
        self._put(thread, waiting)
        return newest

    def _rows(self, thread: ThreadUnit, key: str) -> Iterator[_Row]:
        created = thread.created
        for raw in self._stage.raw_items(key):
            record, _ = _DECODER.at(raw.text, 0)
            if not isinstance(record, dict):
                self._stage.reject(raw.line, key, "it is no object", raw.text)
                continue
            if _DECODER.twice:
                self._note(raw.line, _text(record.get("id")), TWICE, raw.text)
            if self._stage.kind == "own":
                row = self._own(thread, raw, record)
            else:
                row = self._legacy(thread, raw, record, created)
            if row is not None and (problem := _unstorable(row.unit.payload)) is not None:
                self._stage.reject(raw.line, row.unit.id, problem, raw.text)
            elif row is not None:
                created = row.unit.created
                yield row

    def _own(self, thread: ThreadUnit, raw: RawItem, record: dict[str, Any]) -> _Row | None:
        line, text = raw.line, raw.text
        item_id, kind, feedback = record.get("id"), record.get("type"), record.get("feedback")
        turn = record.get("turn")
        created = self._clock.read(record.get("created_at"))
        whole = isinstance(item_id, str) and is_storable(item_id) and isinstance(record.get("payload"), dict)
        whole = whole and feedback in _FEEDBACK and (turn is None or _is_id(turn))
        if not whole or created is None or not _is_text(kind):
            self._stage.reject(line, str(item_id), "the export's record is not whole", text)
            return None
        if not self._stage.take_id(thread.n, str(item_id)):
            self._stage.reject(line, str(item_id), "another item of the thread has this id", text)
            return None
        parts = members(text)
        tell_beyond(self._stage, line, str(item_id), parts, OF_ITEM)
        payload = parts["payload"]
        n = self._stage.next_unit()
        return _Row(
            ItemUnit(n, thread.n, line, str(item_id), kind, created, feedback, payload, turn), raw.seq, True
        )

    def _legacy(self, thread: ThreadUnit, raw: RawItem, record: dict[str, Any], before: int) -> _Row | None:
        line, text = raw.line, raw.text
        if self._stage.stands_already(thread.n, raw):
            return None
        changes: dict[str, str] = {}
        if is_content_row(record):
            changes = item_from_row(record, members(text))
            record = _DECODER.at(object_of(changes.items()), 0)[0]
        kind = record["type"] if isinstance(record.get("type"), str) else "unknown"
        created = self._created(record, line, before, changes)
        item_id = self._id(thread, raw, record, kind)
        changes |= self._placed(thread, record, item_id, line)
        self._keep(text, changes)
        payload = with_members(text, changes) if changes else text
        kind = kind.replace("\0", "\ufffd")
        n = self._stage.next_unit()
        return _Row(
            ItemUnit(n, thread.n, line, item_id, kind, created, None, payload), raw.seq, bool(changes)
        )

    def _placed(self, thread: ThreadUnit, record: dict[str, Any], item_id: str, line: int) -> dict[str, str]:
        """Return the members that say where an item is, as far as it says otherwise itself."""
        changes: dict[str, str] = {}
        given = record.get("thread_id")
        if given != thread.id:
            if given is not None and str(given) != thread.id:
                kind = "the item named another thread than the one that it is in"
                self._note(line, item_id, kind, given if isinstance(given, str) else dumps(given))
            changes["thread_id"] = dumps(thread.id)
        if record.get("id") != item_id:
            changes["id"] = dumps(item_id)
        return changes

    def _keep(self, text: str, changes: dict[str, str]) -> None:
        """Keep in the item what it says of its time and id, where that cannot be what it says any more."""
        if not changes.keys() & {"created_at", "id"}:
            return
        own = members(text)
        for name in ("created_at", "id"):
            given = own.get(name, "null")
            # An id that is text, and could not be its own, is told in the report.
            if given not in ("null", changes.get(name, given)) and not (name == "id" and given[0] == '"'):
                changes.setdefault(original(name), own.get(original(name), given))

    def _note(self, line: int, item_id: str | None, kind: str, more: str = "") -> None:
        self._stage.problem(line, item_id, kind, more)

    def _created(self, record: dict[str, Any], line: int, before: int, changes: dict[str, str]) -> int:
        """Return the item's time; one without gets that of what stands before it."""
        created = self._clock.read(record.get("created_at"))
        if created is not None:
            return created
        shown = record.get("id") if isinstance(record.get("id"), str) else None
        given = record.get("created_at")
        more = "" if given is None else f"its own cannot be read: {dumps(given)}"
        self._note(line, shown, "the item had no time and got that of what stands before it", more)
        changes["created_at"] = dumps(moment(before).isoformat())
        return before

    def _id(self, thread: ThreadUnit, raw: RawItem, record: dict[str, Any], kind: str) -> str:
        """Return the item's id, one of ours unless its own can be kept.

        Ours is made of what the item says, so that it is the same whenever the store is read.
        """
        given = record.get("id")
        own = given if isinstance(given, str) and is_storable(given) else None
        if own is not None and own not in PLACEHOLDER_IDS and self._stage.take_id(thread.n, own):
            return own
        line, digest = raw.line, raw.digest
        # Equal items have had the numbers before.
        number = self._stage.count(thread.n, "ids", digest)
        while True:
            text = f"import\1{thread.id}\1{digest.hex()}\1{number}"
            derived = id_from(id_kind(kind), thread.owner, text)
            if self._stage.take_id(thread.n, derived):
                break
            number += 1
        if own in PLACEHOLDER_IDS:
            self._note(line, own, "a placeholder was replaced by an id of ours", derived)
        elif own is None:
            more = derived if given is None else f"{derived}, its own was {dumps(given)}"
            self._note(line, None, "an item without an id that can be stored got one of ours", more)
        else:
            self._note(line, own, "an id that another item of the thread has was replaced", derived)
        return derived

    def _put(self, thread: ThreadUnit, rows: list[_Row]) -> None:
        """Stage some rows, each readable by the Store."""
        rows, items = self._loaded(rows)
        for row, item in zip(rows, items, strict=True):
            if (
                isinstance(item, HiddenContextItem)
                and row.unit.type != _HIDDEN
                and self._stage.kind == "legacy"
            ):
                self._fill(row)
            elif isinstance(item, UserMessageItem) and item.attachments:
                self._carry(thread, row.unit, [attachment.id for attachment in item.attachments])
        self._stage.put_items((row.unit, row.raw, row.changed) for row in rows)

    def _loaded(self, rows: list[_Row]) -> tuple[list[_Row], list[ThreadItem]]:
        """Return rows and their items; those that cannot be read in any way are rejected."""
        try:
            return rows, load_items([row.unit.payload for row in rows])
        except (ValidationError, KeyError, RecursionError):
            pass
        taken: list[tuple[_Row, ThreadItem]] = []
        for row in rows:
            try:
                taken.append((row, load_item(row.unit.payload)))
            except (ValidationError, KeyError, RecursionError):
                reason = "ChatKit cannot read the item, not even as hidden context"
                self._stage.reject(row.unit.line, row.unit.id, reason, row.unit.payload)
        return [row for row, _ in taken], [item for _, item in taken]

    def _carry(self, thread: ThreadUnit, unit: ItemUnit, attachments: list[str]) -> None:
        for attachment in attachments:
            self._stage.db.execute(
                "INSERT OR IGNORE INTO carried VALUES (?, ?, ?, ?, ?)",
                (attachment, thread.owner, thread.id, unit.id, unit.created),
            )

    def _fill(self, row: _Row) -> None:
        """Give an item what a dump without nulls or an older SDK left out, if that is all that it lacks."""
        line, item_id, kind, payload = row.unit.line, row.unit.id, row.unit.type, row.unit.payload
        filled = fields_to_fill(_DECODER.at(payload, 0)[0])
        if filled:
            texts = {name: dumps(value) for name, value in filled.items()}
            row.unit, row.changed = row.unit._replace(payload=with_members(payload, texts)), True
            self._note(
                line, item_id, "fields that ChatKit needs were missing and are empty now", ", ".join(filled)
            )
        else:
            reason = "this ChatKit cannot read the item; it is kept whole, as hidden context"
            self._note(line, item_id, reason, kind)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and without_surrogates(value) is None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and is_storable(value)


def _unstorable(payload: str) -> str | None:
    """Return why the Store could not read an item back, or not write it again; None if it can."""
    if payload.count("[") + payload.count("{") < _SHALLOW and all(name in payload for name in _NAMES):
        # As nearly all are; whatever is wrong with its fields is found when many are read at once.
        return None
    try:
        dump(load_item(payload))
    except (InvalidRequest, RecursionError):
        return "it is nested too deeply"
    except (ValidationError, KeyError):
        return "ChatKit cannot read the item, not even as hidden context"
    return None
