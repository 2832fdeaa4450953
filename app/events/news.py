"""What can happen, as it travels between processes and as a device is told of it."""

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import cast, get_args

from app.repositories.announcing import Kind

_KINDS = frozenset(get_args(Kind))
_EVERYBODY = "*"


@lru_cache(maxsize=65_536)
def topic_of(owner: str) -> str:
    """Return the name under which an owner's news travel: who it is cannot be read from it."""
    return sha256(owner.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to one owner's conversations; ids only, nothing of what was said."""

    topic: str
    kind: Kind
    thread_id: str | None = None
    item_id: str | None = None

    def packed(self) -> str:
        """Return the text that travels between processes; see app.repositories.announcing.CHANNEL."""
        ids = [part for part in (self.thread_id, self.item_id) if part is not None]
        return json.dumps([self.kind, self.topic, *ids], ensure_ascii=False)

    @property
    def is_for_everybody(self) -> bool:
        """Tell whether anything may have happened to anybody."""
        return self.topic == _EVERYBODY

    def event(self, event_id: str) -> bytes:
        """Return the server-sent event."""
        data = {"thread_id": self.thread_id, "item_id": self.item_id}
        text = json.dumps({name: value for name, value in data.items() if value is not None})
        return f"event: {self.kind}\nid: {event_id}\ndata: {text}\n\n".encode()


MISSED = News(_EVERYBODY, "resync").packed()
"""Says that news were lost, nobody knows whose."""


def unpacked(payload: str) -> News | None:
    """Return what a text from another process says; None when it is none of ours.

    A kind that only a newer release knows is `resync`, which is right whatever it means.
    """
    try:
        kind, topic, *ids = json.loads(payload)
    except (ValueError, TypeError):
        return None
    if not all(isinstance(part, str) for part in (kind, topic, *ids)):
        return None
    if kind not in _KINDS:
        return News(topic, "resync")
    return News(topic, cast("Kind", kind), *ids[:2])
