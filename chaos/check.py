"""The checker: what was promised, against what is stored. Pure, so that it can be tested itself."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from chaos.journal import Journal, Operation, tag_of
from chaos.snapshot import ANSWER, MESSAGE, Pages, Row, Shown, Snapshot

Fault = Literal[
    "lost",
    "doubled",
    "out of order",
    "half-written",
    "resurrected",
    "misplaced",
    "stray",
    "told wrong",
    "refused",
    "stuck",
    "died",
]


@dataclass(frozen=True)
class Complaint:
    """One promise that was not kept."""

    fault: Fault
    what: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.what}"


def check(journal: Journal, snapshot: Snapshot) -> list[Complaint]:
    """Return every promise that was not kept; nothing when all is well."""
    return [*_told(journal), *_owners(journal, snapshot), *_stored(journal, snapshot), *shown(snapshot)]


def _told(journal: Journal) -> Iterator[Complaint]:
    """What the clients heard: one id per key, no refusals, an answer to everything in the end."""
    for operation in journal.operations:
        for ids in (operation.thread_ids, operation.message_ids):
            if len(ids) > 1:
                yield Complaint("doubled", f"{operation} was given the ids {sorted(ids)}")
        for wrong in operation.wrong:
            yield Complaint("told wrong", f"{operation}: {wrong}")
        if operation.refused is not None:
            yield Complaint("refused", f"{operation}: {operation.refused}")
        elif operation.begun is not None and operation.ended is None:
            yield Complaint("stuck", f"{operation} had no answer when all was well again: {operation.last}")


def _owners(journal: Journal, snapshot: Snapshot) -> Iterator[Complaint]:
    """Nothing is with somebody else, and nothing is there that nobody sent."""
    owners = {tag_of(operation.text): operation.owner for operation in journal.operations}
    for row in snapshot.rows:
        owner = owners.get(tag_of(row.text))
        if owner is None:
            fault: Fault = "stray" if row.type == MESSAGE or row.text else "half-written"
            yield Complaint(fault, f"nobody sent {row}")
        elif owner != row.owner:
            yield Complaint("misplaced", f"{row} is {owner}'s")


def _stored(journal: Journal, snapshot: Snapshot) -> Iterator[Complaint]:
    by_owner_and_tag: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in snapshot.rows:
        by_owner_and_tag[row.owner, tag_of(row.text)].append(row)
    by_conversation: dict[str, list[Operation]] = defaultdict(list)
    for operation in journal.operations:
        by_conversation[operation.conversation].append(operation)
    for operations in by_conversation.values():
        tags = {tag_of(operation.text) for operation in operations}
        owner = operations[0].owner
        history = _History(operations, {tag: by_owner_and_tag[owner, tag] for tag in tags})
        yield from history.complaints()
    yield from _empty_threads(journal, snapshot)


def _empty_threads(journal: Journal, snapshot: Snapshot) -> Iterator[Complaint]:
    """A thread without a message is half of what was asked for, unless nobody was told that it is there."""
    filled = {(row.owner, row.thread_id) for row in snapshot.rows}
    unknown = Counter(o.owner for o in journal.operations if o.kind == "create" and o.committed is None)
    for owner, thread_id in snapshot.threads:
        if (owner, thread_id) in filled:
            continue
        unknown[owner] -= 1
        if unknown[owner] < 0:
            yield Complaint("half-written", f"thread {thread_id} of {owner} has no message")


class _History:
    """One conversation: what was asked for, and the rows that came of it."""

    def __init__(self, operations: list[Operation], rows: dict[str, list[Row]]) -> None:
        self._messages = [operation for operation in operations if operation.kind != "retry"]
        self._retries = [o for o in operations if o.kind == "retry" and o.begun is not None]
        self._rows = rows
        self._removed = {gone for retry in self._retries if retry.ended for gone in retry.removes}
        self._maybe_removed = {gone for o in self._retries for gone in (*o.removes, *o.may_remove)}

    def complaints(self) -> Iterator[Complaint]:
        yield from self._in_one_thread()
        for message in self._messages:
            if message.told_gone and (self._of(message) or message not in self._maybe_removed):
                yield Complaint("told wrong", f"{message} is gone, its client was told")
            if message in self._removed:
                yield from self._is_gone(message)
            else:
                yield from self._is_there_once(message)
                yield from self._is_answered_once(message)
        yield from self._in_order()

    def _in_one_thread(self) -> Iterator[Complaint]:
        threads = {row.thread_id for rows in self._rows.values() for row in rows}
        told = {thread_id for message in self._messages for thread_id in message.thread_ids}
        if len(threads | told) > 1:
            name = self._messages[0].conversation
            yield Complaint("doubled", f"{name} is in the threads {sorted(threads)}, told {sorted(told)}")

    def _is_gone(self, message: Operation) -> Iterator[Complaint]:
        for row in self._of(message):
            yield Complaint("resurrected", f"{row} was removed when an earlier message was answered again")

    def _is_there_once(self, message: Operation) -> Iterator[Complaint]:
        rows = self._of(message, MESSAGE)
        if len(rows) > 1:
            yield Complaint("doubled", f"{message} is stored {len(rows)} times: {_list(rows)}")
        if not rows and message.committed and message not in self._maybe_removed:
            yield Complaint("lost", f"{message} is not stored")
        for row in rows:
            if row.text != message.text:
                yield Complaint("half-written", f"{row} should say {message.text!r}")
            if message.message_ids and row.item_id not in message.message_ids:
                yield Complaint("told wrong", f"{message} was given {message.message_ids}, stored is {row}")

    def _is_answered_once(self, message: Operation) -> Iterator[Complaint]:
        rows = self._of(message, ANSWER)
        if len(rows) > 1:
            yield Complaint("doubled", f"{message} has {len(rows)} answers: {_list(rows)}")
        is_there = bool(self._of(message, MESSAGE))
        if rows and not is_there and message in self._maybe_removed:
            yield Complaint("half-written", f"{message} was removed, but not its answer: {_list(rows)}")
        # Nobody was told that the answer is whole as long as nobody was told that it has ended.
        if self._answered(message) is None:
            return
        if not rows and (is_there or message not in self._maybe_removed):
            yield Complaint("lost", f"the answer to {message} is not stored")
        for row in rows:
            if row.text != message.text:
                yield Complaint("half-written", f"{row} should say {message.text!r}")
        told = {asked.answer_id for asked in self._last_asked(message)}
        if len(rows) == 1 and told.isdisjoint({None, rows[0].item_id}):
            yield Complaint("told wrong", f"{message} was answered with {told}, stored is {rows[0]}")

    def _in_order(self) -> Iterator[Complaint]:
        """Whatever was stored before something else was sent stands before it; answers behind questions."""
        placed = [(m, rows[0].position) for m in self._messages if (rows := self._of(m, MESSAGE))]
        for message, position in placed:
            before = [(message.committed, position, "message")]
            if answers := self._of(message, ANSWER):
                before.append((self._answered(message), answers[0].position, "answer"))
                if answers[0].position < position:
                    yield Complaint("out of order", f"{message} stands behind its answer")
            for moment, place, what in before:
                for other, others_place in placed:
                    if moment and other.begun and moment < other.begun and place > others_place:
                        yield Complaint("out of order", f"the {what} of {message} stands behind {other}")

    def _last_asked(self, message: Operation) -> list[Operation]:
        """Return what last asked for an answer to a message; more than one when they did so at once."""
        asked = [message, *(retry for retry in self._retries if retry.target is message)]
        return [one for one in asked if not any(one.ended and one.ended < (o.begun or 0) for o in asked)]

    def _answered(self, message: Operation) -> int | None:
        """Return since when the answer is promised to be there, None when nobody promised it."""
        moments = [asked.ended for asked in self._last_asked(message)]
        return None if None in moments else max(moment for moment in moments if moment)

    def _of(self, message: Operation, kind: str | None = None) -> list[Row]:
        return [row for row in self._rows[tag_of(message.text)] if kind in (None, row.type)]


def shown(snapshot: Snapshot) -> Iterator[Complaint]:
    """What HTTP shows is what is stored, in both directions, to its owner and to nobody else."""
    positions = Counter((row.owner, row.thread_id, row.position) for row in snapshot.rows)
    for place, times in positions.items():
        if times > 1:
            yield Complaint("doubled", f"{times} items at {place}")
    stored: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in snapshot.rows:
        stored[row.owner, row.thread_id].append(row)
    for owner, pages in snapshot.lists.items():
        threads = [(thread_id, "") for of, thread_id in snapshot.threads if of == owner]
        yield from _agree(f"the threads of {owner}", pages, threads)
    for (owner, thread_id), pages in snapshot.pages.items():
        in_order = sorted(stored[owner, thread_id], key=lambda row: row.position)
        shown = [(row.item_id, row.text) for row in in_order if row.type in (MESSAGE, ANSWER)]
        yield from _agree(f"thread {thread_id} of {owner}", pages, shown, ordered=True)


def _agree(what: str, pages: Pages, stored: list[Shown], *, ordered: bool = False) -> Iterator[Complaint]:
    for direction, shown in (("ascending", pages.ascending), ("descending", pages.descending)):
        if repeated := _repeated(record_id for record_id, _ in shown):
            yield Complaint("doubled", f"{what}, {direction}, repeats {repeated}")
        if missing := set(stored) - set(shown):
            yield Complaint("lost", f"{what}, {direction}, does not show {sorted(missing)}")
        if foreign := set(shown) - set(stored):
            yield Complaint("misplaced", f"{what}, {direction}, shows {sorted(foreign)}")
    if list(pages.ascending) != list(reversed(pages.descending)):
        yield Complaint("out of order", f"{what}: the two directions differ")
    if ordered and sorted(pages.ascending) == sorted(stored) and list(pages.ascending) != stored:
        yield Complaint("out of order", f"{what}: shown otherwise than stored")


def _repeated(ids: Iterable[str]) -> list[str]:
    return [record_id for record_id, times in Counter(ids).items() if times > 1]


def _list(rows: list[Row]) -> str:
    return "; ".join(map(str, rows))
