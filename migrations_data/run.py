"""The stages of a move, in order: back up, read, check, and with `apply` write, verify, and note it."""

import asyncio
import hashlib
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from app.database import Database, create_engine
from app.database.failures import StatementFailed
from app.files.blobs import Blobs
from app.repositories.moved_back import MovedRows
from app.repositories.moves import MoveRepository, MoveState, Reading
from app.settings import Settings
from app.stores import NeonChatKitStore
from migrations_data.arrived import Arrived
from migrations_data.backup import back_up, back_up_sqlite
from migrations_data.check import check
from migrations_data.errors import OVERTAKEN, MoveRefused, SourceBroken
from migrations_data.going_on import READER, hindrance, resumed
from migrations_data.mend import Mender
from migrations_data.owners import OwnerRule, owner_rule
from migrations_data.preconditions import check_kind, check_lists, check_schema, names_owner
from migrations_data.progress import Progress
from migrations_data.read_json import read_json
from migrations_data.read_sqlite import is_sqlite, read_sqlite
from migrations_data.reports import counted, say, say_what_was_found, write_lists
from migrations_data.stage import Stage
from migrations_data.times import Clock
from migrations_data.units import micros
from migrations_data.verify import Owner, Verdict, Verifier
from migrations_data.write import Writer

DONE, FAILED, DONE_WITH_REJECTS = 0, 1, 3
DEFAULT_BATCH = 1000
_RETRY_SECONDS = 60.0
_CONNECTIONS = 5


@dataclass(frozen=True)
class Order:
    """What a move was asked for."""

    kind: str
    path: Path
    database_url: str
    user: str | None = None
    user_map: Path | None = None
    user_from: str | None = None
    apply: bool = False
    partial: bool = False
    rejects: Path | None = None
    batch: int = DEFAULT_BATCH
    zone: tzinfo = UTC
    again: bool = False
    """Whether to write once more what was brought in before, also what was deleted since."""
    another_owner: bool = False
    """Whether to write what was brought in before for others."""

    @property
    def rejects_path(self) -> Path:
        """Where the rejects go."""
        return self.rejects or self.path.with_name(f"{self.path.name}.rejects.jsonl")

    @property
    def report_path(self) -> Path:
        """Where everything is listed that was put right, or is not as it was written."""
        return self.path.with_name(f"{self.path.name}.report.jsonl")


async def run(order: Order) -> int:
    """Carry out a move; return the exit status of its command.

    Raises MoveRefused when it cannot begin or go on; nothing is half-written then that a second run
    would not find.
    """
    if not order.path.is_file():
        raise MoveRefused(f"There is no file {order.path}.")
    check_kind(order.path)
    check_lists(order.path, order.rejects_path, order.report_path, apply=order.apply)
    if not names_owner(order.path):
        _rule(order, None)
    engine = create_engine(order.database_url, pool_size=_CONNECTIONS)
    try:
        database = Database(engine, retry_seconds=_RETRY_SECONDS)
        await check_schema(database)
        store: NeonChatKitStore[Owner] = NeonChatKitStore(engine, retry_seconds=_RETRY_SECONDS)
        return await _Move(order, database, store).run()
    finally:
        await engine.dispose()


def _rule(order: Order, of_source: str | None) -> OwnerRule:
    return owner_rule(
        user=order.user, user_map=order.user_map, user_from=order.user_from, of_source=of_source
    )


class _Move:
    def __init__(self, order: Order, database: Database, store: NeonChatKitStore[Owner]) -> None:
        self._order = order
        self._moves = MoveRepository(database)
        self._rows = MovedRows(database)
        self._store = store
        self._path = order.path

    async def run(self) -> int:
        order = self._order
        self._is_sqlite = is_sqlite(order.path)
        copy, self._content = await asyncio.to_thread(
            back_up_sqlite if self._is_sqlite else back_up, order.path
        )
        say(f"Backup: {copy} (SHA-256 {self._content[:12]}…, verified).")
        # The copy is one moment; who owns the source may be writing to it.
        self._path = copy
        with closing(Stage(order.path.absolute().parent)) as stage:
            return await self._staged(stage)

    async def _staged(self, stage: Stage) -> int:
        order = self._order
        move = None
        if not names_owner(self._path):
            move = _move_id(self._content, _rule(order, None))
            state = await self._looked_up(move)
            if state is not None and self._is_done(state):
                return _was_done(state, order)
        broken = self._read(stage)
        rule = _rule(order, stage.owner)
        if move is None:
            move = _move_id(self._content, rule)
            state = await self._looked_up(move)
            if state is not None and self._is_done(state):
                return _was_done(state, order)
        as_of = (state and state.read_as_of) or datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        clock = self._check(stage, rule, as_of)
        say_what_was_found(stage, broken)
        if clock.naive:
            say(f"Note: {counted(clock.naive, 'time')} without a zone, read as {order.zone}.")
        self._write_lists(stage)
        if broken is not None and not order.partial:
            say("Nothing is written, because the file is not whole. To take what is whole: --partial")
            return FAILED
        reading = Reading(stage.plan.hexdigest(), stage.units, str(order.zone), as_of, READER)
        if not order.apply:
            await self._say_what_is_there(stage, state, reading, clock)
            say("Nothing is written: this was a dry run. To write: --apply")
            return DONE
        return await self._apply(stage, move, state, reading, clock)

    def _is_done(self, state: MoveState) -> bool:
        """Tell whether a move is finished, and not to be done again."""
        return state.finished_at is not None and not self._order.again

    async def _looked_up(self, move: str) -> MoveState | None:
        """Return how far a move is. Raises MoveRefused for one that may be a mistake: it wrote nothing."""
        state = await self._moves.load(move)
        is_new = state is None or not (state.position or state.finished_at)
        if is_new and not self._order.another_owner:
            await self._look_for_others(move)
        return state

    async def _look_for_others(self, move: str) -> None:
        """Raise MoveRefused when the same file was brought in for others; a dry run only says so."""
        others = await self._moves.others(move, self._content)
        for other in others:
            counts = f"{counted(other.threads, 'thread')}, {counted(other.items, 'item')}"
            say(
                f"Attention: the same file was brought in before, with another owner: {other.source}, on"
                f" {other.started_at:%Y-%m-%d %H:%M} UTC, {counts}."
            )
        words = (
            "If that was a mistake, erase it there: chatkit-neon erase. To bring the file in for this owner"
            " as well: --another-owner"
        )
        if others and self._order.apply:
            raise MoveRefused(f"Nothing is written. {words}")
        if others:
            say(f"With --apply it is refused. {words}")

    def _read(self, stage: Stage) -> SourceBroken | None:
        with Progress("read", self._path.stat().st_size, "B") as progress:
            if self._is_sqlite:
                read_sqlite(self._path, stage, progress)
                return None
            return read_json(self._path, stage, progress)

    def _check(self, stage: Stage, rule: OwnerRule, as_of: datetime) -> Clock:
        clock = Clock(self._order.zone)
        total = stage.one("SELECT count(*) FROM raw_threads")
        with Progress("check", total, " threads") as progress:
            check(stage, rule, clock, now=micros(as_of), progress=progress)
        return clock

    def _write_lists(self, stage: Stage, *, quiet: bool = False) -> None:
        rejects, report = self._order.rejects_path, self._order.report_path
        write_lists(stage, rejects=rejects, report=report, clear=self._order.apply)
        if quiet:
            return
        for number, what, where in (
            (stage.one("SELECT count(*) FROM rejects"), "reject", rejects),
            (stage.one("SELECT count(*) FROM problems"), "note", report),
        ):
            if number:
                say(f"{counted(number, what)}, each with line and id: {where}")

    async def _say_what_is_there(
        self, stage: Stage, state: MoveState | None, reading: Reading, clock: Clock
    ) -> None:
        if state is not None and state.finished_at is None:
            batches = await self._moves.batches(state.id)
            if (why := hindrance(stage, state, batches, reading, naive=clock.naive)) is not None:
                say(f"Attention: with --apply it is refused. {why}")
        known = 0
        keys: list[tuple[str, str]] = []
        for key in stage.rows("SELECT owner, id FROM threads"):
            keys.append(key)
            if len(keys) == DEFAULT_BATCH:
                known += len(await self._rows.threads(keys))
                keys = []
        known += len(await self._rows.threads(keys)) if keys else 0
        if known:
            say(f"{counted(known, 'thread')} of these are there already; what they lack would go behind.")

    async def _apply(
        self, stage: Stage, move: str, state: MoveState | None, reading: Reading, clock: Clock
    ) -> int:
        order, blobs = self._order, self._blobs(stage)
        if state is None:
            named = {"kind": order.kind, "source": order.path.name, "content": self._content}
            state = await self._moves.begin(move, reading, **named)
        state = await resumed(stage, self._moves, state, reading, naive=clock.naive, again=order.again)
        if state.position:
            say(f"Going on behind {state.position:,} of {counted(stage.units, 'record')}.")
        try:
            return await self._written(stage, state, blobs)
        except StatementFailed as error:
            say(
                f"The database refused to go on: {error}. Once that is put right, run this again: it goes on."
            )
            return FAILED

    async def _written(self, stage: Stage, state: MoveState, blobs: Blobs | None) -> int:
        move, moves, rows = state.id, self._moves, self._rows
        before = await moves.batches(move)
        if mended := await Mender(stage, moves, rows, move, blobs).mend(before):
            say(f"{counted(mended, 'record')} that had not arrived before {_are(mended)} written now.")
        with Progress("write", stage.units, " records") as progress:
            await Writer(stage, moves, move, blobs).write(
                state.position, size=self._order.batch, progress=progress
            )
        arrived = Arrived(await moves.batches(move), stage.units)
        with Progress("verify", stage.units, " records") as progress:
            verdict = await Verifier(stage, self._store, rows, arrived, blobs).verify(progress)
        return await self._finish(stage, move, verdict)

    def _blobs(self, stage: Stage) -> Blobs | None:
        """Open the place of files, if there are any bytes."""
        if not stage.one("SELECT count(*) FROM raw_files WHERE bytes IS NOT NULL"):
            return None
        try:
            return Blobs.at(Settings(database_url=self._order.database_url).chat_files_url)
        except ValueError as error:
            raise MoveRefused(f"CHAT_FILES_URL cannot be used: {error}.") from None

    async def _finish(self, stage: Stage, move: str, verdict: Verdict) -> int:
        self._write_lists(stage, quiet=True)
        state = await self._moves.load(move)
        new = (state.threads, state.items, state.attachments) if state else (0, 0, 0)
        say(
            f"New: {counted(new[0], 'thread')}, {counted(new[1], 'item')}, {counted(new[2], 'attachment')}."
            f" Read back and compared: {verdict.threads:,}, {verdict.items:,}, {verdict.attachments:,}."
        )
        report = self._order.report_path
        if verdict.lost:
            say(
                f"Attention: {counted(verdict.lost, 'record')}, with all that belongs to them, did not"
                " arrive, though the database did not refuse them. Look for triggers and rules on the tables"
                f" chat_…, then run this again: it writes them. Each is in {report}"
            )
            return FAILED
        if verdict.gone:
            say(
                f"Deleted since: {counted(verdict.gone, 'record')}, with all that belonged to them. They were"
                f" here, and stay deleted; --again would bring them back. Each is in {report}"
            )
        rejected = stage.one("SELECT count(*) FROM rejects")
        digest, plan = verdict.digest.hexdigest(), stage.plan.hexdigest()
        if not await self._moves.finish(move, plan, digest=digest, rejected=rejected):
            raise MoveRefused(f"This is not finished. {OVERTAKEN}")
        if digest == plan:
            say(f"Everything is there as it was read; digest {digest[:12]}….")
        if rejected:
            say(f"{counted(rejected, 'record')} could not be placed, see above.")
        return DONE_WITH_REJECTS if rejected or verdict.gone else DONE


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _move_id(digest: str, rule: OwnerRule) -> str:
    return hashlib.sha256(f"{digest} {rule.digest}".encode()).hexdigest()


def _was_done(state: MoveState, order: Order) -> int:
    say(
        f"This was brought in on {state.finished_at:%Y-%m-%d %H:%M} UTC already, with"
        f" {counted(state.threads, 'thread')} and {counted(state.items, 'item')}. Nothing to do."
        " To bring back what was deleted since: --again"
    )
    if state.zone not in (None, str(order.zone)):
        say(
            f"Times without a zone were read as {state.zone} then, and stay so: --timezone {order.zone}"
            " changes nothing."
        )
    if state.rejected:
        say(f"{counted(state.rejected, 'record')} could not be placed then.")
    elif state.digest != state.plan:
        say("Some of it had been deleted before it was read back.")
    else:
        return DONE
    return DONE_WITH_REJECTS
