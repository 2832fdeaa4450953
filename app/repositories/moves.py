"""Data moves: rows of many owners, written in numbered batches, and the ledger of how far they got.

As the sweep of files, a move works for the service itself and across owners; nothing it returns is
shown to anybody but who runs the command.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.models import DataMove, DataMoveBatch
from app.repositories.files import ANNOUNCE
from app.repositories.given import arrays_of
from app.repositories.move_statements import FILES_GIVEN, ITEMS_GIVEN, MEND, THREADS_GIVEN, WRITE
from app.repositories.moved import MovedBatch
from app.repositories.owners import Counts


class Reading(NamedTuple):
    """What a source says when it is read in one way: whose it is apart, the same each time."""

    plan: str
    units: int
    zone: str
    as_of: datetime
    reader: int


class MoveState(NamedTuple):
    """A row of the ledger."""

    id: str
    kind: str
    source: str
    content: str | None
    zone: str | None
    read_as_of: datetime | None
    reader: int | None
    plan: str
    units: int
    position: int
    threads: int
    items: int
    attachments: int
    rejected: int
    digest: str | None
    started_at: datetime
    finished_at: datetime | None


class WrittenBatch(NamedTuple):
    """What the ledger knows of a batch."""

    after: int
    until: int
    digest: str | None
    """None for one of a release that noted none."""
    placed: list[tuple[int, int]]
    """The units that were here then: ranges of numbers, the last of each exclusive."""


_ONE: ColumnElement[Any] = literal_column("1")
_ZERO: ColumnElement[Any] = literal_column("0")
_MOVE: ColumnElement[str] = bindparam("move", type_=Text)
_PLAN_BEFORE = DataMove.plan == bindparam("plan_before", type_=Text)
_READING: dict[str, ColumnElement[Any]] = {
    "plan": bindparam("plan_", type_=Text),
    "units": bindparam("units_", type_=BigInteger),
    "zone": bindparam("zone_", type_=Text),
    "read_as_of": bindparam("as_of_", type_=DateTime(timezone=True)),
    "reader": bindparam("reader_", type_=Integer),
}
BEGIN = Statement(
    "moves.begin",
    insert(DataMove)
    .from_select(
        ["id", "kind", "source", "content", *_READING],
        select(
            _MOVE,
            bindparam("kind", type_=Text),
            bindparam("source", type_=Text),
            bindparam("content", type_=Text),
            *_READING.values(),
        ),
        include_defaults=False,
    )
    .on_conflict_do_nothing(index_elements=[DataMove.id]),
)
READ_ANEW = Statement(
    "moves.read_anew",
    update(DataMove)
    .where(DataMove.id == _MOVE, _PLAN_BEFORE, DataMove.finished_at.is_(None))
    .values(**_READING),
)
LOAD = Statement("moves.load", select(*DataMove.__table__.c).where(DataMove.id == _MOVE))
LIST = Statement("moves.list", select(*DataMove.__table__.c).order_by(DataMove.started_at))
OTHERS = Statement(
    "moves.others",
    select(*DataMove.__table__.c)
    .where(
        DataMove.content == bindparam("content", type_=Text),
        DataMove.id != _MOVE,
        DataMove.position > _ZERO,
    )
    .order_by(DataMove.started_at),
)
_RANGE = func.unnest(DataMoveBatch.placed).table_valued("range", name="placed").render_derived().lateral()
BATCHES = Statement(
    "moves.batches",
    select(
        DataMoveBatch.after,
        DataMoveBatch.until,
        DataMoveBatch.digest,
        func.lower(_RANGE.c.range, type_=BigInteger),
        func.upper(_RANGE.c.range, type_=BigInteger),
    )
    .outerjoin(_RANGE, literal_column("true"))
    .where(DataMoveBatch.move == _MOVE)
    .order_by(DataMoveBatch.until, literal_column("4")),
)
FINISH = Statement(
    "moves.finish",
    update(DataMove)
    .where(
        DataMove.id == _MOVE,
        # Begun anew meanwhile, it is not what was read back.
        DataMove.plan == bindparam("plan_", type_=Text),
        DataMove.position == DataMove.units,
        DataMove.finished_at.is_(None),
    )
    .values(
        finished_at=func.clock_timestamp(),
        digest=bindparam("digest_", type_=Text),
        rejected=bindparam("rejected_", type_=BigInteger),
    ),
)


def _restart() -> Statement:
    anew = (
        update(DataMove)
        .where(
            DataMove.id == _MOVE,
            _PLAN_BEFORE,
            # Another process has restarted it, or goes on with it.
            DataMove.position == bindparam("position_before", type_=BigInteger),
        )
        .values(
            position=_ZERO,
            threads=_ZERO,
            items=_ZERO,
            attachments=_ZERO,
            rejected=_ZERO,
            digest=null(),
            finished_at=null(),
            **_READING,
        )
        .returning(_ONE)
        .cte("anew")
    )
    forgotten = delete(DataMoveBatch).where(
        DataMoveBatch.move == _MOVE, exists(select(_ONE).select_from(anew))
    )
    return Statement("moves.restart", forgotten)


RESTART = _restart()


def _values(reading: Reading) -> dict[str, Any]:
    return {f"{name}_": value for name, value in reading._asdict().items()}


class MoveRepository:
    """Writes what a data move brings, and keeps its ledger."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, move: str, reading: Reading, *, kind: str, source: str, content: str) -> MoveState:
        """Note that a move begins, and return how far it got: it may have begun before, read otherwise."""
        values = {"kind": kind, "source": source, "content": content}
        await self._database.write(BEGIN, move=move, **values, **_values(reading))
        state = await self.load(move)
        assert state is not None  # noqa: S101 - inserted above, and never deleted
        return state

    async def read_anew(self, before: MoveState, reading: Reading) -> None:
        """Have an unfinished move go on with another plan, of which what was written so far is a part."""
        await self._database.write(READ_ANEW, move=before.id, plan_before=before.plan, **_values(reading))

    async def restart(self, before: MoveState, reading: Reading) -> None:
        """Have a move write all of its units again; those that are here stay as they are."""
        await self._database.write(
            RESTART,
            move=before.id,
            plan_before=before.plan,
            position_before=before.position,
            **_values(reading),
        )

    async def load(self, move: str) -> MoveState | None:
        """Return a move's row, None if it never began."""
        rows = await self._database.read(LOAD, move=move)
        return MoveState(*rows[0]) if rows else None

    async def all(self) -> list[MoveState]:
        """Return all moves there ever were, oldest first."""
        return [MoveState(*row) for row in await self._database.read(LIST)]

    async def others(self, move: str, content: str) -> list[MoveState]:
        """Return the moves that wrote something of the same content for other owners, oldest first."""
        return [MoveState(*row) for row in await self._database.read(OTHERS, move=move, content=content)]

    async def batches(self, move: str) -> list[WrittenBatch]:
        """Return what was written so far, in order."""
        found: list[WrittenBatch] = []
        for after, until, digest, lower, upper in await self._database.read(BATCHES, move=move):
            if not found or found[-1].until != until:
                found.append(WrittenBatch(after, until, digest, []))
            if lower is not None:
                found[-1].placed.append((lower, upper))
        return found

    async def write(self, move: str, plan: str, batch: MovedBatch) -> Counts | None:
        """Write the units of a batch and move the ledger on, all or nothing; return how many were new.

        What is there stays as it is, but for bytes that an attachment lacks; items that a known thread
        lacks go behind those it has. The ledger keeps which units are here afterwards. None, and nothing
        is written, when the move does not stand where the batch begins, or has another plan: this very
        call was sent twice, or another process moves the same.
        """
        return await self._put(WRITE, batch, move=move, plan=plan, after=batch.after, digest=batch.digest)

    async def mend(self, move: str, batch: MovedBatch) -> Counts | None:
        """Write units of a batch that never arrived; return how many were new.

        None, and nothing is written, when one of them has arrived since: it may have been deleted.
        """
        return await self._put(MEND, batch, move=move, units=batch.units)

    async def _put(self, statement: Statement, batch: MovedBatch, **values: Any) -> Counts | None:
        rows = await self._database.write(
            statement,
            until=batch.until,
            of_user=batch.continued and batch.continued.user_id,
            of_thread=batch.continued and batch.continued.id,
            of_active=batch.continued and batch.continued.active_at,
            before_owners=[owner for owner, _ in batch.threads_before],
            before_threads=[thread for _, thread in batch.threads_before],
            said_owners=[owner for owner, _, _ in batch.items_before],
            said_threads=[thread for _, thread, _ in batch.items_before],
            said_items=[item for _, _, item in batch.items_before],
            **arrays_of("threads", THREADS_GIVEN, batch.threads),
            **arrays_of("items", ITEMS_GIVEN, batch.items),
            **arrays_of("files", FILES_GIVEN, batch.files),
            **values,
        )
        threads, items, files, is_noted = rows[0]
        return Counts(threads, items, files) if is_noted else None

    async def finish(self, move: str, plan: str, *, digest: str, rejected: int) -> bool:
        """Note that all of a move is here and was read back; tell whether it is noted.

        It is not when another process began it anew.
        """
        await self._database.write(FINISH, move=move, plan_=plan, digest_=digest, rejected_=rejected)
        state = await self.load(move)
        return state is not None and state.plan == plan and state.finished_at is not None

    async def announce(self, owner: str, file_keys: Sequence[str]) -> None:
        """Note bytes that are about to be written: they are removed unless they are bound in an hour."""
        await self._database.write(ANNOUNCE, owner=owner, keys=file_keys)
