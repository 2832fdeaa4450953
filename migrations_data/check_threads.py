"""From a thread as it was read to the row that it becomes."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.errors import InvalidRequest
from app.stores.codec import dump, load_thread, whole_thread, without_nul
from app.stores.ids import id_from, is_storable
from migrations_data.check_exports import OF_THREAD, tell_beyond
from migrations_data.errors import Unplaceable
from migrations_data.json_text import (
    TWICE,
    Decoder,
    dumps,
    has_nul,
    members,
    object_of,
    original,
    without_surrogates,
)
from migrations_data.owners import OwnerRule
from migrations_data.stage import Stage
from migrations_data.times import Clock
from migrations_data.units import RawRecord, ThreadUnit, moment

_DECODER = Decoder()
_ACTIVE = '{"type":"active"}'


@dataclass
class Draft:
    """A thread on its way."""

    raw: RawRecord
    record: dict[str, Any]
    parts: dict[str, str]
    """The texts of its members."""


class ThreadCheck:
    """Makes rows of threads, and notes what it had to put right."""

    def __init__(self, stage: Stage, owners: OwnerRule, clock: Clock, now: int) -> None:
        """Check what a stage holds; `now` is the time of what has none at all, the source's own."""
        self._stage = stage
        self._owners = owners
        self._clock = clock
        self._now = now

    def row(self, raw: RawRecord, n: int) -> ThreadUnit:
        """Return a thread's row; its last activity is that of its creation. Raises Unplaceable."""
        record, _ = _DECODER.at(raw.text, 0)
        draft = Draft(raw, record, members(raw.text))
        if _DECODER.twice:
            self._note(draft, TWICE, raw.text)
        metadata = None if self._stage.kind == "own" else self._metadata(draft)
        beside, _ = _DECODER.at(raw.beside, 0)
        owner = self._owners.of(record, raw.key, self._owners.own_name(record), beside=beside)
        if owner is None:
            raise Unplaceable("nothing says whose thread it is")
        if metadata is None:
            return self._own(draft, n, owner)
        return self._legacy(draft, n, owner, metadata)

    def _own(self, draft: Draft, n: int, owner: str) -> ThreadUnit:
        record, parts = draft.record, draft.parts
        created, active = (self._clock.read(record.get(name)) for name in ("created_at", "active_at"))
        title, status = record.get("title"), record.get("status")
        whole = isinstance(record.get("payload"), dict) and isinstance(record.get("metadata"), dict)
        if not whole or created is None or active is None or not isinstance(status, str):
            raise Unplaceable("the export's record is not whole")
        if not is_storable(str(record.get("id", ""))) or not (title is None or isinstance(title, str)):
            raise Unplaceable("its id or title cannot be stored")
        if without_surrogates(f"{title}{status}") is not None:
            raise Unplaceable("its title or status holds half a surrogate pair")
        _readable(parts["payload"], parts["metadata"])
        tell_beyond(self._stage, draft.raw.line, str(record["id"]), parts, OF_THREAD)
        return ThreadUnit(
            n, draft.raw.line, owner, str(record["id"]), title, status, parts["payload"], parts["metadata"],
            created, active,
        )  # fmt: skip

    def _legacy(self, draft: Draft, n: int, owner: str, metadata: str) -> ThreadUnit:
        raw = draft.raw
        thread_id = self._id(draft, owner)
        created = self._created(draft)
        self._title(draft)
        self._status(draft)
        payload = object_of((key, text) for key, text in draft.parts.items() if key != "metadata")
        if has_nul(payload) or has_nul(metadata):
            self._note(draft, "U+0000 in a thread became U+FFFD")
            payload, metadata = without_nul(payload), without_nul(metadata)
        _readable(payload, metadata)
        stored = load_thread(whole_thread(payload, metadata))
        return ThreadUnit(
            n,
            raw.line,
            owner,
            thread_id,
            stored.title,
            stored.status.type,
            payload,
            metadata,
            created,
            created,
        )

    def _note(self, draft: Draft, kind: str, more: str = "") -> None:
        self._stage.problem(draft.raw.line, draft.raw.key, kind, more)

    def _keep(self, draft: Draft, name: str) -> None:
        """Keep what the thread says itself of something that it gets anew."""
        if draft.record.get(name) is not None:
            draft.parts.setdefault(original(name), draft.parts[name])

    def _set(self, draft: Draft, name: str, value: Any) -> None:
        draft.record[name] = value
        draft.parts[name] = dumps(value)

    def _metadata(self, draft: Draft) -> str:
        """Return the text of the thread's metadata."""
        value = draft.record.get("metadata")
        if value is None:
            return "{}"
        if isinstance(value, str) and value.strip().startswith("{"):
            # A column of text that holds JSON.
            try:
                draft.record["metadata"], text = _DECODER.parse(value)
            except (ValueError, RecursionError):
                pass
            else:
                if _DECODER.twice:
                    self._note(draft, TWICE, value)
                return self._stage.storable(text, draft.raw.line, draft.raw.key)
        if not isinstance(value, dict):
            self._note(draft, "metadata that is no object is kept under the name `metadata`")
            return object_of([("metadata", draft.parts["metadata"])])
        return draft.parts["metadata"]

    def _id(self, draft: Draft, owner: str) -> str:
        """Return the thread's id; one that cannot be stored gets one of ours, the same each time."""
        given = draft.record.get("id")
        given = draft.raw.key if given is None else given
        thread_id = given if isinstance(given, str) else str(given)
        if not is_storable(thread_id):
            thread_id = id_from("thread", owner, f"import\1{draft.raw.key}")
            self._note(draft, "an id that cannot be stored was replaced", thread_id)
        if draft.record.get("id") != thread_id:
            self._set(draft, "id", thread_id)
        return thread_id

    def _created(self, draft: Draft) -> int:
        """Return when the thread was begun: as it says, else as its first item says."""
        created = self._clock.read(draft.record.get("created_at"))
        if created is not None:
            return created
        first = next(self._stage.raw_items(draft.raw.key or ""), None)
        try:
            value = _DECODER.at(first.text, 0)[0] if first else None
        except ValueError:
            value = None
        created = self._clock.read(value.get("created_at")) if isinstance(value, dict) else None
        created = self._now if created is None else created
        given = draft.record.get("created_at")
        more = "" if given is None else f"its own cannot be read: {draft.parts['created_at']}"
        self._note(draft, "the thread had no time and got that of its first item, or of the source", more)
        self._keep(draft, "created_at")
        self._set(draft, "created_at", moment(created).isoformat())
        return created

    def _title(self, draft: Draft) -> None:
        """Give a thread without a title the one that its metadata has."""
        title = draft.record.get("title")
        if title is None:
            metadata = draft.record.get("metadata")
            found = metadata.get("title") if isinstance(metadata, dict) else None
            if isinstance(found, str) and found:
                self._set(draft, "title", found)
        elif not isinstance(title, str):
            self._note(draft, "a title that is no text was made one")
            self._set(draft, "title", draft.parts["title"])

    def _status(self, draft: Draft) -> None:
        """Make a status one that ChatKit can read."""
        if "status" not in draft.record:
            return
        status = draft.record["status"]
        if isinstance(status, dict) and status.get("type") in ("active", "locked", "closed"):
            return
        if isinstance(status, str) and status in ("active", "locked", "closed"):
            self._set(draft, "status", {"type": status})
            return
        self._note(draft, "a status that ChatKit does not know became active", draft.parts["status"])
        self._keep(draft, "status")
        draft.parts["status"] = _ACTIVE


def _readable(payload: str, metadata: str) -> None:
    """Raise Unplaceable for a thread that the Store could not read back, or not write again."""
    try:
        dump(load_thread(whole_thread(payload, metadata)))
    except (InvalidRequest, RecursionError):
        raise Unplaceable("it is nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Unplaceable(f"ChatKit cannot read the thread: {place}: {first['msg']}") from None
