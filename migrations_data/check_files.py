"""From attachments as they were read to the rows that they become."""

from typing import Any

from pydantic import ValidationError

from app.stores.codec import load_attachment
from app.stores.ids import is_storable
from migrations_data.check_exports import OF_FILE, tell_beyond
from migrations_data.errors import Unplaceable
from migrations_data.json_text import TWICE, Decoder, dumps, members, with_members, without_surrogates
from migrations_data.owners import OwnerRule
from migrations_data.stage import Stage
from migrations_data.times import Clock
from migrations_data.units import FileUnit, RawRecord

_DECODER = Decoder()
_MOST_BYTES = 2**63 - 1


class FileCheck:
    """Makes rows of attachments. A store's own has no bytes: these were never in its file."""

    def __init__(self, stage: Stage, owners: OwnerRule, clock: Clock, now: int) -> None:
        self._stage = stage
        self._owners = owners
        self._clock = clock
        self._now = now

    def stage_files(self) -> None:
        """Stage every attachment behind all items."""
        if self._stage.one("SELECT count(*) FROM raw_files"):
            # Whose item is still there is asked for each, when it is written.
            self._stage.db.execute("CREATE INDEX items_by_id ON items (thread, id)")
        for raw in self._stage.rows("SELECT seq, key, line, text FROM raw_files ORDER BY seq"):
            record = RawRecord(*raw)
            try:
                self._put(record)
            except Unplaceable as error:
                self._stage.reject(record.line, record.key, str(error), record.text)

    def _put(self, raw: RawRecord) -> None:
        record, _ = _DECODER.at(raw.text, 0)
        if _DECODER.twice:
            self._stage.problem(raw.line, raw.key, TWICE, raw.text)
        parts = members(raw.text)
        units = [self._own(raw, record, parts)] if self._stage.kind == "own" else self._legacy(raw, record)
        for unit in units:
            self._put_unit(unit)

    def _put_unit(self, unit: FileUnit) -> None:
        try:
            load_attachment(unit.payload)
        except ValidationError:
            raise Unplaceable("ChatKit cannot read the attachment") from None
        known = self._stage.one("SELECT count(*) FROM files WHERE owner = ? AND id = ?", unit.owner, unit.id)
        if known:
            raise Unplaceable("another attachment with this id came before")
        self._stage.put_file(unit._replace(n=self._stage.next_unit()))

    def _own(self, raw: RawRecord, record: dict[str, Any], parts: dict[str, str]) -> FileUnit:
        file_id, thread, item = (record.get(name) for name in ("id", "thread_id", "item_id"))
        created, size = self._clock.read(record.get("created_at")), record.get("size")
        home = self._home(thread)
        owner = home[0] if home else self._owners.of(record, _key(thread))
        ids = [file_id, *(other for other in (thread, item) if other is not None)]
        if not all(isinstance(one, str) and is_storable(one) for one in ids) or "payload" not in parts:
            raise Unplaceable("the export's record is not whole")
        if created is None or owner is None or not (size is None or _is_size(size)):
            raise Unplaceable("the export's record is not whole")
        content = self._stage.bytes_of(raw.seq)
        if content is not None and len(content) != size:
            raise Unplaceable(f"it has {len(content)} bytes and is to have {size}")
        if content is None and size is not None:
            self._stage.problem(raw.line, raw.key, "the export holds no bytes of the attachment")
        tell_beyond(self._stage, raw.line, raw.key, parts, OF_FILE)
        return FileUnit(
            0, raw.line, raw.seq, owner, str(file_id), thread, item, created, size, parts["payload"]
        )

    def _legacy(self, raw: RawRecord, record: dict[str, Any]) -> list[FileUnit]:
        """Return a row for every user of whose messages one carries the attachment."""
        file_id = raw.key or ""
        if not is_storable(file_id):
            raise Unplaceable("its id cannot be stored")
        carriers: list[tuple[str, str | None, str | None, int]] = self._stage.db.execute(
            "SELECT owner, thread_id, item_id, created FROM carried WHERE id = ? ORDER BY owner", (file_id,)
        ).fetchall() or [self._uncarried(record)]
        if "bytes" in record:
            self._stage.problem(raw.line, file_id, "a store's own bytes stay in what is known")
        changes = {} if record.get("id") == file_id else {"id": dumps(file_id)}
        payload = with_members(raw.text, changes)
        return [
            FileUnit(0, raw.line, raw.seq, owner, file_id, thread, item, created, None, payload)
            for owner, thread, item, created in carriers
        ]

    def _uncarried(self, record: dict[str, Any]) -> tuple[str, str | None, None, int]:
        """Return owner, thread and time of an attachment that no message carries."""
        found = self._home(record.get("thread_id"))
        if found is not None:
            return found[0], found[1], None, found[2]
        owner = self._owners.of(record)
        if owner is None:
            raise Unplaceable("nothing says whose attachment it is")
        return owner, None, None, self._now

    def _home(self, thread: object) -> tuple[str, str, int] | None:
        """Return owner, id and time of a thread, None if it is not there."""
        found = self._stage.db.execute(
            "SELECT owner, id, created FROM threads WHERE id = ? ORDER BY n LIMIT 2", (_key(thread),)
        )
        rows: list[tuple[str, str, int]] = found.fetchall()
        if len(rows) > 1:
            raise Unplaceable("several users have a thread with the id of its thread")
        return rows[0] if rows else None


def _key(thread: object) -> str | None:
    """Return the id of a thread as it is stored; None names none."""
    if isinstance(thread, int) and not isinstance(thread, bool):
        return str(thread)
    return without_surrogates(thread) or thread if isinstance(thread, str) else None


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _MOST_BYTES
