"""The keyed requests that a process holds, of all owners together."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Interval,
    Text,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import array

from app.database import Database, Statement
from app.models import Claim, KeyedRequest

_LEASE_END = func.clock_timestamp() + bindparam("lease", type_=Interval)
_UNANSWERED = KeyedRequest.outcome.is_(None)
_ONE: ColumnElement[Any] = literal_column("1")


def _renew() -> Statement:
    names = ("owner", "id", "holder")
    held = (
        func.unnest(*(bindparam(f"{name}s", type_=ARRAY(Text)) for name in names))
        .table_valued(*names, name="held")
        .render_derived()
    )
    # A visitor's requests may have gone to an account meanwhile; the answer goes on.
    claimed = select(Claim.account_id).where(Claim.user_id == held.c.owner).scalar_subquery()
    is_held = (
        KeyedRequest.user_id == func.any(array([held.c.owner, claimed])),
        KeyedRequest.id == held.c.id,
        KeyedRequest.holder == held.c.holder,
        _UNANSWERED,
    )
    # One that somebody has locked is left for the next time: it must not keep all others waiting.
    free = (
        select(KeyedRequest.user_id, KeyedRequest.id)
        .join(held, and_(*is_held))
        .order_by(KeyedRequest.user_id, KeyedRequest.id)
        .with_for_update(key_share=True, skip_locked=True, of=KeyedRequest)
        .cte("free")
    )
    renewed = (
        update(KeyedRequest)
        .where(KeyedRequest.user_id == free.c.user_id, KeyedRequest.id == free.c.id)
        .values(lease_until=_LEASE_END)
        .cte("renewed")
    )
    return Statement(
        "requests.renew",
        select(KeyedRequest.holder, KeyedRequest.stop_asked).join(held, and_(*is_held)).add_cte(renewed),
    )


def _prune() -> Statement:
    key = (KeyedRequest.user_id, KeyedRequest.id)
    old = (
        select(*key)
        .where(
            # Of the statement's beginning: the index cannot be asked for a time that goes on.
            KeyedRequest.created_at < func.statement_timestamp() - bindparam("age", type_=Interval),
            # Some are tried again after weeks, and being answered now.
            KeyedRequest.lease_until < func.statement_timestamp() - bindparam("age", type_=Interval),
        )
        .limit(bindparam("batch", type_=BigInteger))
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    gone = (
        delete(KeyedRequest)
        .where(tuple_(*key).in_(select(old.c.user_id, old.c.id)))
        .returning(_ONE)
        .cte("gone")
    )
    return Statement("requests.prune", select(func.count()).select_from(gone))


RENEW = _renew()
PRUNE = _prune()


class Held(NamedTuple):
    """A request that this process answers."""

    owner: str
    id: str
    holder: str


class Leases:
    """The requests that one process answers, of all owners: it knows them by their holder."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(self, held: Sequence[Held], lease: timedelta) -> dict[str, bool]:
        """Hold on to requests; return by holder, of those that are still held, whether a stop was asked."""
        rows = await self._database.write(
            RENEW,
            owners=[one.owner for one in held],
            ids=[one.id for one in held],
            holders=[one.holder for one in held],
            lease=lease,
        )
        return {row[0]: row[1] for row in rows}

    async def prune(self, age: timedelta, batch: int) -> int:
        """Remove the rows of requests older than that, at most so many; return how many there were."""
        rows = await self._database.write(PRUNE, age=age, batch=batch)
        return int(rows[0][0])
