"""Check: every record that was read becomes a unit to be written, or is rejected with its reason."""

from migrations_data.check_files import FileCheck
from migrations_data.check_items import ItemCheck
from migrations_data.check_threads import ThreadCheck
from migrations_data.errors import Unplaceable
from migrations_data.json_text import without_surrogates
from migrations_data.owners import OwnerRule
from migrations_data.progress import Progress
from migrations_data.stage import Stage
from migrations_data.times import Clock
from migrations_data.units import RawRecord, ThreadUnit


def check(stage: Stage, owners: OwnerRule, clock: Clock, *, now: int, progress: Progress) -> None:
    """Stage the units of everything that was read; `now` is the time of what has none."""
    threads, items = ThreadCheck(stage, owners, clock, now), ItemCheck(stage, clock)
    _unknown(stage, owners)
    _ambiguous(stage)
    _by_own_ids(stage)
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


def _unknown(stage: Stage, owners: OwnerRule) -> None:
    """Tell which names of the list of users are no thread's: a slip there gives threads to somebody else."""
    known = (
        "SELECT count(*) FROM (SELECT key FROM raw_threads UNION ALL SELECT id FROM own_ids) WHERE key = ?"
    )
    for name in owners.by_thread:
        shown = without_surrogates(name) or name
        if not stage.one(known, shown):
            stage.problem(None, name, "the list of users names a thread that is not in the source")


def _ambiguous(stage: Stage) -> None:
    """Reject items that name a thread by an id that several have; those that stood in one are its own."""
    twice = "SELECT id FROM own_ids GROUP BY id HAVING count(*) > 1 OR id IN (SELECT key FROM raw_threads)"
    for key in {**stage.ambiguous, **{own_id: None for (own_id,) in stage.rows(twice)}}:
        for item in stage.raw_items(key):
            if not item.nested:
                stage.reject(item.line, key, "several threads have the id of its thread", item.text)
        stage.db.execute("DELETE FROM raw_items WHERE key = ? AND NOT nested", (key,))


def _by_own_ids(stage: Stage) -> None:
    """Give items that name a thread by its own id to it, also where it stood under another name."""
    stage.db.execute(
        "UPDATE raw_items SET key = (SELECT key FROM own_ids WHERE id = raw_items.key)"
        " WHERE NOT nested AND key IN (SELECT id FROM own_ids)"
    )


def _homeless(stage: Stage) -> None:
    """Reject items whose thread is not there."""
    rows = stage.rows(
        "SELECT key, line, text FROM raw_items WHERE key IS NULL OR key NOT IN (SELECT key FROM raw_threads)"
        " ORDER BY seq"
    )
    for key, line, text in rows:
        reason = "it names no thread" if key is None else "its thread is not in the source"
        stage.reject(line, key, reason, text)
