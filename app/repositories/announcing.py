"""How a statement that writes tells an owner's other devices what it wrote.

The notification is a column of what the statement returns: no second round trip, and none when
nothing was written. A part of the statement that nothing reads would not be run at all.
"""

from typing import Any, Literal

from sqlalchemy import ColumnElement, Text, and_, bindparam, case, cast, func, literal_column, select

from app.database import Statement

Kind = Literal[
    "thread.created",
    "thread.updated",
    "thread.deleted",
    "item.added",
    "item.replaced",
    "item.removed",
    "resync",
]
"""What can happen; `resync` stands for any number of changes at once."""

CHANNEL = "chat_events"
"""Where PostgreSQL announces; its payload is a JSON array of kind, topic, and the ids of thread and item.

The topic is short and ids have 255 bytes of UTF-8 at most, of which JSON escapes each by five more at
worst: far from the 8,000 bytes that PostgreSQL takes.
"""
_CHANNEL: ColumnElement[str] = literal_column(f"'{CHANNEL}'")
NOTE: ColumnElement[str] = bindparam("note", type_=Text)
"""The topic to announce on."""


class Announcer:
    """Tells nobody. Those that tell somebody are made by `app.events`."""

    def note(self, owner: str) -> str | None:
        """Return the topic on which a statement itself is to announce; None when it is not to."""
        return None

    def tell(self, owner: str, kind: Kind, thread_id: str | None = None, item_id: str | None = None) -> None:
        """Take note of what was written and is committed by now. Never waits, and never fails."""

    def tell_of_repeated(self, values: dict[str, Any]) -> None:
        """Take note of a write whose rows do not tell what it did, since it may have done it before.

        What a statement announces in itself needs none of this: it came when it was done.
        """
        for name in ("owner", "visitor"):
            if name in values:
                self.tell(values[name], "resync")
        for owner in values.get("distinct_owners", ()):
            self.tell(owner, "resync")


SILENT = Announcer()


def kind_is(kind: Kind) -> ColumnElement[str]:
    """Return a kind as a statement has it."""
    return literal_column(f"'{kind}'", type_=Text)


def announced(
    kind: ColumnElement[str],
    *ids: ColumnElement[str],
    to: ColumnElement[str] = NOTE,
    when: ColumnElement[bool] | None = None,
) -> ColumnElement[Any]:
    """Return the column that announces, on the topic given as the value `note` unless that is NULL."""
    payload = cast(func.json_build_array(cast(kind, Text), to, *ids), Text)
    condition = to.is_not(None) if when is None else and_(to.is_not(None), when)
    return case((condition, cast(func.pg_notify(_CHANNEL, payload), Text)))


PROVE = Statement(
    "events.prove", select(cast(func.pg_notify(_CHANNEL, bindparam("payload", type_=Text)), Text))
)
"""Announces what the listener waits for, to learn whether it hears anything."""
