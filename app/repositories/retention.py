"""Threads that nobody was active in for long, whoever they belong to: finding, counting, deleting them.

There is no index on a thread's last activity (see its model), so all threads are looked at, in the
order of the primary key, some thousand in each statement: each is short, and locks nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
)

from app.database import Database, Statement
from app.models import Attachment, Claim, KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer, announced, kind_is
from app.repositories.files import attachments_gone
from app.repositories.owners import LONGEST_ANSWER, Holdings, count_of

_ONE: ColumnElement[int] = literal_column("1")
_CUTOFF: ColumnElement[datetime] = bindparam("cutoff", type_=DateTime(timezone=True))
_OWNERS: ColumnElement[Any] = bindparam("owners", type_=ARRAY(Text))
_LIMIT: ColumnElement[int] = bindparam("limit_", type_=BigInteger)


class ThreadKey(NamedTuple):
    """Which thread."""

    owner: str
    id: str


class Window(NamedTuple):
    """What was found in a stretch of all threads."""

    looked_at: int
    last: ThreadKey | None
    """Where the next stretch begins; None behind the last."""
    old: list[ThreadKey]


def _look(*, until: bool) -> Select[*tuple[Any, ...]]:
    place = (Thread.user_id, Thread.id)
    after = (bindparam("after_owner", type_=Text), bindparam("after_id", type_=Text))
    found = select(*place, (Thread.active_at < _CUTOFF).label("is_old")).where(
        tuple_(*place) > tuple_(*after)
    )
    if until:
        found = found.where(Thread.user_id < bindparam("until_owner", type_=Text))
    return found.order_by(*place).limit(_LIMIT)


def _chosen(*, lock: bool) -> CTE:
    """Return those of the given threads that are still old; with `lock` without those in use."""
    given = func.unnest(_OWNERS, bindparam("ids", type_=ARRAY(Text)), bindparam("notes", type_=ARRAY(Text)))
    keys = given.table_valued("owner", "id", "note", name="given").render_derived()
    found = select(Thread.user_id, Thread.id, cast(keys.c.note, Text).label("note")).where(
        Thread.user_id == cast(keys.c.owner, Text),
        Thread.id == cast(keys.c.id, Text),
        # Looked at again under the lock: a thread that got a message meanwhile is not old any more.
        Thread.active_at < _CUTOFF,
    )
    if lock:
        found = found.order_by(Thread.user_id, Thread.id).with_for_update(skip_locked=True, of=Thread)
    return found.cte("chosen")


def _parts(chosen: CTE) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    """Return which items, attachments and keyed requests go with the chosen threads."""
    keys = select(chosen.c.user_id, chosen.c.id)
    items, attachments, requests = (
        tuple_(table.user_id, table.thread_id).in_(keys) for table in (ThreadItem, Attachment, KeyedRequest)
    )
    return items, attachments, requests


# Requests have no index by thread; an owner's are few, and found by the first column of their key. Each
# owner is named once here: PostgreSQL adds up what it expects of each.
_OF_OWNERS = KeyedRequest.user_id == func.any(bindparam("distinct_owners", type_=ARRAY(Text)))


def _count() -> Select[*tuple[Any, ...]]:
    chosen = _chosen(lock=False)
    items, attachments, requests = _parts(chosen)
    return select(
        count_of(chosen),
        count_of(select(_ONE).select_from(ThreadItem).where(items).cte("items")),
        count_of(select(_ONE).select_from(Attachment).where(attachments).cte("attachments")),
        count_of(select(_ONE).select_from(KeyedRequest).where(_OF_OWNERS, requests).cte("requests")),
    )


def _purge() -> Select[*tuple[Any, ...]]:
    chosen = _chosen(lock=True)
    items, attachments, requests = _parts(chosen)
    counted = select(_ONE).select_from(ThreadItem).where(items).cte("items")
    gone, removals = attachments_gone(attachments)
    asked = delete(KeyedRequest).where(_OF_OWNERS, requests).returning(_ONE).cte("requests")
    threads = (
        delete(Thread)
        .where(tuple_(Thread.user_id, Thread.id).in_(select(chosen.c.user_id, chosen.c.id)))
        .returning(Thread.user_id, Thread.id)
        .cte("threads")
    )
    told = (
        select(
            threads.c.user_id,
            threads.c.id,
            announced(kind_is("thread.deleted"), threads.c.id, to=chosen.c.note).label("announced"),
        )
        .join_from(threads, chosen, tuple_(*threads.c) == tuple_(chosen.c.user_id, chosen.c.id))
        .subquery("told")
    )
    counts = (count_of(threads), count_of(counted), count_of(gone), count_of(asked))
    # Counted, so that each is announced.
    return select(
        *counts, func.array_agg(told.c.user_id), func.array_agg(told.c.id), func.count(told.c.announced)
    ).add_cte(removals)


# Never one that an answer may still need, however short the time to keep is.
_IS_OLD_CLAIM = Claim.claimed_at < func.least(_CUTOFF, func.clock_timestamp() - LONGEST_ANSWER)


def _purge_claims() -> Select[*tuple[Any, ...]]:
    old = (
        select(Claim.user_id).where(_IS_OLD_CLAIM).limit(_LIMIT).with_for_update(skip_locked=True).cte("old")
    )
    gone = delete(Claim).where(Claim.user_id.in_(select(old.c.user_id))).returning(_ONE).cte("gone")
    return select(count_of(gone))


CUTOFF = Statement("retention.cutoff", select(func.clock_timestamp() - bindparam("age", type_=Interval)))
LOOK = Statement("retention.look", _look(until=False))
LOOK_UNTIL = Statement("retention.look_until", _look(until=True))
COUNT = Statement("retention.count", _count())
PURGE = Statement("retention.purge", _purge())
COUNT_CLAIMS = Statement(
    "retention.count_claims", select(func.count()).select_from(Claim).where(_IS_OLD_CLAIM)
)
PURGE_CLAIMS = Statement("retention.purge_claims", _purge_claims())


class RetentionRepository:
    """Finds and deletes what is old, whoever's it is; for the service's operator, never for a request.

    Each method is one statement in one round trip. One that deletes can be sent twice; what the first
    deleted, when its answer was lost, is not counted.
    """

    def __init__(self, database: Database, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._announcer = announcer

    async def cutoff(self, age: timedelta) -> datetime:
        """Return the time so long ago, by the clock that says when a thread was active."""
        rows = await self._database.read(CUTOFF, age=age)
        moment: datetime = rows[0][0]
        return moment

    async def look(
        self, after: ThreadKey, *, until_owner: str | None, cutoff: datetime, limit: int
    ) -> Window:
        """Return what the `limit` threads behind one are; owners end before `until_owner`."""
        rows = await self._database.read(
            LOOK if until_owner is None else LOOK_UNTIL,
            after_owner=after.owner,
            after_id=after.id,
            until_owner=until_owner,
            cutoff=cutoff,
            limit_=limit,
        )
        last = ThreadKey(*rows[-1][:2]) if len(rows) == limit else None
        return Window(len(rows), last, [ThreadKey(owner, key) for owner, key, is_old in rows if is_old])

    async def count(self, threads: Sequence[ThreadKey], cutoff: datetime) -> Holdings:
        """Return how much goes with those of these threads that are older than the cutoff."""
        rows = await self._database.read(COUNT, **_arrays(threads, SILENT), cutoff=cutoff)
        return Holdings(*rows[0])

    async def purge(self, threads: Sequence[ThreadKey], cutoff: datetime) -> Holdings:
        """Delete those of these threads that are older than the cutoff and not in use, with all of theirs.

        The rows are locked for as long as this runs: give it some tens of threads. The bytes of
        attachments are noted for removal, and their owners' devices are told.
        """
        rows = await self._database.write(PURGE, **_arrays(threads, self._announcer), cutoff=cutoff)
        *counts, owners, ids, _ = rows[0]
        for owner, thread_id in zip(owners or (), ids or (), strict=True):
            self._announcer.tell(owner, "thread.deleted", thread_id)
        return Holdings(*counts)

    async def count_claims(self, cutoff: datetime) -> int:
        """Return how many notes of a claim are older than the cutoff."""
        rows = await self._database.read(COUNT_CLAIMS, cutoff=cutoff)
        return int(rows[0][0])

    async def purge_claims(self, cutoff: datetime, limit: int) -> int:
        """Delete up to `limit` notes of a claim that are older than the cutoff; return how many."""
        rows = await self._database.write(PURGE_CLAIMS, cutoff=cutoff, limit_=limit)
        return int(rows[0][0])


def _arrays(threads: Sequence[ThreadKey], announcer: Announcer) -> dict[str, list[Any]]:
    owners = [thread.owner for thread in threads]
    return {
        "owners": owners,
        "distinct_owners": sorted(set(owners)),
        "ids": [thread.id for thread in threads],
        "notes": [announcer.note(owner) for owner in owners],
    }
