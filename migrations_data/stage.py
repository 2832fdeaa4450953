"""What was read, and what is to be written: on disk, not in memory, and gone with the process.

An unnamed SQLite database: its file has no name as soon as it is open, so that a killed process
leaves nothing behind.
"""

import hashlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from migrations_data.json_text import without_surrogates
from migrations_data.units import FileUnit, ItemUnit, PlanDigest, RawItem, RawRecord, ThreadUnit

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
CREATE TABLE raw_threads (seq INTEGER PRIMARY KEY, key TEXT UNIQUE, line INTEGER, text TEXT, beside TEXT);
CREATE TABLE own_ids (id TEXT, key TEXT, PRIMARY KEY (id, key)) WITHOUT ROWID;
CREATE TABLE raw_items (seq INTEGER PRIMARY KEY, key TEXT, line INTEGER, nested INTEGER, text TEXT);
CREATE TABLE raw_files (seq INTEGER PRIMARY KEY, key TEXT, line INTEGER, text TEXT, bytes BLOB);
CREATE TABLE problems (line INTEGER, id TEXT, kind TEXT, more TEXT);
CREATE TABLE rejects (line INTEGER, id TEXT, reason TEXT, record TEXT);
CREATE TABLE threads (n INTEGER PRIMARY KEY, line INTEGER, owner TEXT, id TEXT, title TEXT, status TEXT,
  payload TEXT, metadata TEXT, created INTEGER, active INTEGER, left_out INTEGER DEFAULT 0,
  UNIQUE (owner, id));
CREATE TABLE items (n INTEGER PRIMARY KEY, thread INTEGER, line INTEGER, raw INTEGER, id TEXT, type TEXT,
  created INTEGER, feedback TEXT, payload TEXT, turn TEXT, left_out INTEGER DEFAULT 0);
CREATE TABLE files (n INTEGER PRIMARY KEY, line INTEGER, raw INTEGER, owner TEXT, id TEXT, thread_id TEXT,
  item_id TEXT, created INTEGER, size INTEGER, payload TEXT, left_out INTEGER DEFAULT 0, UNIQUE (owner, id));
CREATE TABLE taken_ids (thread INTEGER, id TEXT, PRIMARY KEY (thread, id)) WITHOUT ROWID;
CREATE TABLE counts (thread INTEGER, what TEXT, digest BLOB, n INTEGER, PRIMARY KEY (thread, what, digest))
  WITHOUT ROWID;
CREATE TABLE carried (id TEXT, owner TEXT, thread_id TEXT, item_id TEXT, created INTEGER,
  PRIMARY KEY (id, owner)) WITHOUT ROWID;
"""
_WAITING = 500

Kind = Literal["legacy", "own"]


class Stage:
    """The records of one source, in two states: as read, and as they are to be written.

    Units (threads, items, attachments) are numbered in the order in which they are written; a thread
    has a number before its items. The same source gives the same numbers.
    """

    kind: Kind = "legacy"
    """Whether the source is an export of ours, whose records are stored to the letter."""
    owner: str | None = None
    """Whose data the source says that it is."""

    def __init__(self, beside: Path) -> None:
        """Make an empty stage in a folder, or where temporary files go if that cannot be written to."""
        os.environ["SQLITE_TMPDIR"] = str(beside)
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.executescript(_TABLES)
        self.db.execute("BEGIN")
        self.plan = PlanDigest()
        self.units = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._has_nested = False
        self._spelled: dict[str, str] = {}
        self.ambiguous: dict[str, None] = {}
        """Keys that more than one thread has, so that nothing tells whose an item that names one is."""

    def close(self) -> None:
        """Forget everything."""
        self.db.close()

    def add_thread(
        self, key: str, line: int, text: str, beside: str = "{}", *, own_id: str | None = None
    ) -> bool:
        """Stage a thread as read, what stood beside it, and the id that it gives itself.

        False for one whose key was there before with other content: it was rejected.
        """
        whole = text
        own_id = None if own_id is None else without_surrogates(own_id) or own_id
        key, text, beside = (self._key(key, line), *(self.storable(one, line, key) for one in (text, beside)))
        added = self.db.execute(
            "INSERT OR IGNORE INTO raw_threads (key, line, text, beside) VALUES (?, ?, ?, ?)",
            (key, line, text, beside),
        )
        if added.rowcount:
            if own_id not in (None, key):
                self.db.execute("INSERT OR IGNORE INTO own_ids VALUES (?, ?)", (own_id, key))
                self.problem(line, own_id, "the thread stood under a name that is not its id", key)
            return True
        same = self.one("SELECT text = ? AND beside = ? FROM raw_threads WHERE key = ?", text, beside, key)
        if same and key not in self.ambiguous:
            self.problem(line, key, "the same thread stands here again")
            return True
        self.ambiguous |= {key: None, own_id or key: None}
        self.reject(line, key, "another thread with this id came before", whole)
        return False

    def add_item(self, key: str | None, line: int, text: str, *, nested: bool = False) -> None:
        """Stage an item of the thread with this key, as read."""
        key = None if key is None else self._key(key, line)
        self._has_nested = self._has_nested or nested
        self._waiting.append((key, line, nested, self.storable(text, line, key)))
        if len(self._waiting) >= _WAITING:
            self.flush()

    def add_file(self, key: str, line: int, text: str, content: bytes | None = None) -> None:
        """Stage an attachment, as read."""
        self.db.execute(
            "INSERT INTO raw_files (key, line, text, bytes) VALUES (?, ?, ?, ?)",
            (self.storable(key, line, key), line, self.storable(text, line, key), content),
        )

    def flush(self) -> None:
        """Write out the items that wait."""
        self.db.executemany(
            "INSERT INTO raw_items (key, line, nested, text) VALUES (?, ?, ?, ?)", self._waiting
        )
        self._waiting.clear()

    def _key(self, key: str, line: int) -> str:
        """Return a key that UTF-8 can hold, and note when several keys have become the same."""
        shown = self.storable(key, line, key)
        if "\ufffd" in shown and self._spelled.setdefault(shown, key) != key:
            self.ambiguous[shown] = None
        return shown

    def storable(self, text: str, line: int, key: str | None) -> str:
        """Return a text that UTF-8 can hold, and note when it is another one."""
        changed = without_surrogates(text)
        if changed is None:
            return text
        self.problem(line, key, "half a surrogate pair, or a byte that is no UTF-8, became U+FFFD")
        return changed

    def problem(self, line: int | None, record_id: str | None, kind: str, more: str = "") -> None:
        """Note something that is not as it should be and is put right, or kept as it is."""
        self.db.execute(
            "INSERT INTO problems VALUES (?, ?, ?, ?)",
            (line, _shown(record_id), kind, without_surrogates(more) or more),
        )

    def reject(self, line: int, record_id: str | None, reason: str, record: str) -> None:
        """Note a record that cannot be placed."""
        self.db.execute(
            "INSERT INTO rejects VALUES (?, ?, ?, ?)",
            (line, _shown(record_id), reason, without_surrogates(record) or record),
        )

    def end_of_reading(self) -> None:
        """Make what was read findable."""
        self.flush()
        self.db.execute("CREATE INDEX items_of ON raw_items (key, seq)")

    def rows(self, sql: str, *values: Any) -> Iterator[Any]:
        """Yield the rows of a query, one at a time."""
        yield from self.db.execute(sql, values)

    def one(self, sql: str, *values: Any) -> Any:
        """Return the only value of a query's only row."""
        return self.db.execute(sql, values).fetchone()[0]

    def raw_threads(self) -> Iterator[RawRecord]:
        """Yield the threads as they were read, in order."""
        return map(RawRecord._make, self.rows("SELECT * FROM raw_threads ORDER BY seq"))

    def raw_items(self, key: str) -> Iterator[RawItem]:
        """Yield a thread's items as they were read, in order."""
        return map(RawItem._make, self.rows("SELECT * FROM raw_items WHERE key = ? ORDER BY seq", key))

    def stands_already(self, thread: int, raw: RawItem) -> bool:
        """Tell whether an item stands both in its thread and among the items, and this is the second.

        To be asked of each item once, in their order: of several equal ones each has its own second.
        """
        if not self._has_nested:
            return False
        here, there = ("in its thread", "beside it") if raw.nested else ("beside it", "in its thread")
        digest = raw.digest
        return self.count(thread, here, digest) < self._counted(thread, there, digest)

    def count(self, thread: int, what: str, digest: bytes) -> int:
        """Return how often this was asked before, of this text of a thread's items."""
        before = self._counted(thread, what, digest)
        self.db.execute(
            "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)", (thread, what, digest, before + 1)
        )
        return before

    def _counted(self, thread: int, what: str, digest: bytes) -> int:
        found = self.db.execute(
            "SELECT n FROM counts WHERE thread = ? AND what = ? AND digest = ?", (thread, what, digest)
        ).fetchone()
        return found[0] if found else 0

    def next_unit(self) -> int:
        """Return the next unit's number."""
        self.units += 1
        return self.units

    def put_thread(self, unit: ThreadUnit) -> None:
        """Stage a thread to be written."""
        self.db.execute("INSERT INTO threads VALUES (?,?,?,?,?,?,?,?,?,?,0)", unit)
        self.plan.thread(unit)

    def put_items(self, rows: Iterable[tuple[ItemUnit, int, bool]]) -> None:
        """Stage items to be written, each with its number as read and whether its payload is another."""
        for unit, raw, changed in rows:
            self.db.execute(
                "INSERT INTO items (n, thread, line, raw, id, type, created, feedback, payload, turn)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)",
                (*unit[:3], raw, *unit[3:7], unit.payload if changed else None, unit.turn),
            )
            self.plan.item(unit)

    def put_file(self, unit: FileUnit) -> None:
        """Stage an attachment to be written."""
        self.db.execute(
            "INSERT INTO files (n, line, raw, owner, id, thread_id, item_id, created, size, payload)"
            " VALUES (?,?,?,?,?,?,?,?,?,?)",
            unit,
        )
        self.plan.file(unit)

    def take_id(self, thread: int, item_id: str) -> bool:
        """Give an id to an item of a thread; False when another has it."""
        taken = self.db.execute("INSERT OR IGNORE INTO taken_ids VALUES (?, ?)", (thread, item_id))
        return bool(taken.rowcount)

    def threads(self, after: int, until: int, *, every: bool = False) -> list[ThreadUnit]:
        """Return the threads to be written that have a number in a range, exclusive and inclusive.

        Without those left out, unless `every` one is asked for; so do the next two.
        """
        rows = self.rows(
            "SELECT * FROM threads WHERE n > ? AND n <= ? AND (? OR NOT left_out) ORDER BY n",
            after,
            until,
            every,
        )
        return [ThreadUnit(*row[:-1]) for row in rows]

    def threads_numbered(self, numbers: Iterable[int]) -> list[ThreadUnit]:
        """Return some threads by their numbers."""
        return [
            ThreadUnit(*row[:-1])
            for n in sorted(set(numbers))
            for row in self.rows("SELECT * FROM threads WHERE n = ?", n)
        ]

    def items(self, after: int, until: int, *, every: bool = False) -> Iterator[ItemUnit]:
        """Yield items to be written that have a number in a range, exclusive and inclusive."""
        rows = self.rows(
            "SELECT n, thread, i.line, id, type, created, feedback, coalesce(payload, text), turn"
            " FROM items i LEFT JOIN raw_items r ON r.seq = i.raw"
            " WHERE n > ? AND n <= ? AND (? OR NOT left_out) ORDER BY n",
            after,
            until,
            every,
        )
        return map(ItemUnit._make, rows)

    def items_of(self, thread: int) -> Iterator[ItemUnit]:
        """Yield the items of a thread; theirs are the numbers behind it, up to the next thread's."""
        following = self.one("SELECT min(n) FROM threads WHERE n > ?", thread) or self.units + 1
        return (unit for unit in self.items(thread, following - 1) if unit.thread == thread)

    def files(self, after: int, until: int, *, every: bool = False) -> Iterator[FileUnit]:
        """Yield attachments to be written that have a number in a range, exclusive and inclusive."""
        rows = self.rows(
            "SELECT n, line, raw, owner, id, thread_id, item_id, created, size, payload FROM files"
            " WHERE n > ? AND n <= ? AND (? OR NOT left_out) ORDER BY n",
            after,
            until,
            every,
        )
        return map(FileUnit._make, rows)

    def digest(self, after: int, until: int) -> str:
        """Return the digest of the units in a range, with their numbers, those left out included."""
        digest = hashlib.sha256()
        threads = ((unit.n, *unit[2:]) for unit in self.threads(after, until, every=True))
        items = ((unit.n, unit.thread, *unit[3:]) for unit in self.items(after, until, every=True))
        files = ((unit.n, *unit[3:]) for unit in self.files(after, until, every=True))
        for values in itertools.chain(threads, items, files):
            digest.update(("\0".join(map(str, values)) + "\1").encode())
        return digest.hexdigest()

    def item_before(self, unit: ItemUnit) -> tuple[int, str] | None:
        """Return number and id of the item that stands before another in its thread."""
        rows = self.rows(
            # Between a thread and its item are its own items only.
            "SELECT n, id FROM items WHERE n > ? AND n < ? ORDER BY n DESC LIMIT 1",
            unit.thread,
            unit.n,
        )
        return next(rows, None)

    def has_item(self, owner: str, thread_id: str, item_id: str, *, until: int) -> bool:
        """Tell whether an item is to be written, and has a number up to `until`."""
        found = self.one(
            "SELECT count(*) FROM items i JOIN threads t ON t.n = i.thread"
            " WHERE t.owner = ? AND t.id = ? AND i.id = ? AND i.n <= ? AND NOT i.left_out",
            owner,
            thread_id,
            item_id,
            until,
        )
        return bool(found)

    def bytes_of(self, raw: int) -> bytes | None:
        """Return the bytes of an attachment, None when the source has none."""
        content: bytes | None = self.one("SELECT bytes FROM raw_files WHERE seq = ?", raw)
        return content

    def leave_out(self, table: Literal["threads", "items", "files"], n: int) -> None:
        """Have a unit that was refused neither written nor looked for again."""
        self.db.execute(f"UPDATE {table} SET left_out = 1 WHERE n = ?", (n,))  # noqa: S608 - one of three names


def _shown(record_id: str | None) -> str | None:
    return record_id and (without_surrogates(record_id) or record_id)
