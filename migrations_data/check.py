"""Check: every record that was read becomes a unit to be written, or is rejected with its reason."""

from migrations_data.check_files import FileCheck
from migrations_data.check_items import ItemCheck
from migrations_data.check_threads import ThreadCheck
from migrations_data.errors import Unplaceable
from migrations_data.owners import OwnerRule
from migrations_data.progress import Progress
from migrations_data.stage import RawRecord, Stage, ThreadUnit
from migrations_data.times import Clock


def check(stage: Stage, owners: OwnerRule, clock: Clock, *, now: int, progress: Progress) -> None:
    """Stage the units of everything that was read; `now` is the time of what has none."""
    threads, items = ThreadCheck(stage, owners, clock, now), ItemCheck(stage, clock)
    _ambiguous(stage)
    for raw in stage.raw_threads():
        unit = _thread(stage, threads, raw)
        if unit is not None:
            newest = items.stage_items(unit, raw.key or "")
            if stage.kind == "legacy" and newest is not None:
                unit = unit._replace(active=newest)
            stage.put_thread(unit)
        progress.at(raw.seq)
    _homeless(stage)
    FileCheck(stage, owners, clock, now).stage_files()


def _thread(stage: Stage, threads: ThreadCheck, raw: RawRecord) -> ThreadUnit | None:
    """Return the unit of a thread; one that cannot be placed is rejected with its items."""
    try:
        unit = threads.row(raw, stage.next_unit())
        if stage.one("SELECT count(*) FROM threads WHERE owner = ? AND id = ?", unit.owner, unit.id):
            raise Unplaceable("another thread with this id came before")
    except Unplaceable as error:
        reason = str(error)
        stage.reject(raw.line, raw.key, reason, raw.text)
        for item in stage.raw_items(raw.key or ""):
            stage.reject(item.line, raw.key, f"its thread was not taken: {reason}", item.text)
        return None
    return unit


def _ambiguous(stage: Stage) -> None:
    """Reject items that name a thread by an id that several have; those that stood in one are its own."""
    for key in stage.ambiguous:
        for item in stage.raw_items(key):
            if not item.nested:
                stage.reject(item.line, key, "several threads have the id of its thread", item.text)
        stage.db.execute("DELETE FROM raw_items WHERE key = ? AND NOT nested", (key,))


def _homeless(stage: Stage) -> None:
    """Reject items whose thread is not there."""
    rows = stage.rows(
        "SELECT key, line, text FROM raw_items WHERE key IS NULL OR key NOT IN (SELECT key FROM raw_threads)"
        " ORDER BY seq"
    )
    for key, line, text in rows:
        reason = "it names no thread" if key is None else "its thread is not in the source"
        stage.reject(line, key, reason, text)
