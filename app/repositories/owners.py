"""All of an owner's data at once: taking over a visitor's, and erasing it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from app.database import Database, Statement
from app.models import Attachment, Claim, KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import NOTE, SILENT, Announcer, announced, kind_is
from app.repositories.files import attachments_gone

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_VISITOR: ColumnElement[str] = bindparam("visitor", type_=Text)
# Threads erased by one statement: a bound on how long it runs and what it locks.
_BATCH = 100
# A turn that began before a claim is over by then.
LONGEST_ANSWER: ColumnElement[Any] = literal_column("interval '1 hour'")
_OWNERS_CLAIM = or_(Claim.user_id == _OWNER, Claim.account_id == _OWNER)


class Counts(NamedTuple):
    """How many records a step moved or deleted."""

    threads: int = 0
    items: int = 0
    attachments: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def counts_in(rows: Sequence[asyncpg.Record]) -> Counts:
    """Return the counts that a statement begins its one row with."""
    threads, items, attachments, *_ = rows[0]
    return Counts(threads, items, attachments)


class Holdings(NamedTuple):
    """How many records of each kind an owner has, or had."""

    threads: int = 0
    items: int = 0
    attachments: int = 0
    requests: int = 0
    """Keyed requests: what tells a repeat from a new one."""
    claims: int = 0
    """Notes of which account took over which visitor's conversations."""

    @property
    def counts(self) -> Counts:
        """Return those that people know of."""
        return Counts(self.threads, self.items, self.attachments)

    def plus(self, other: "Holdings") -> "Holdings":
        """Return the sums."""
        return Holdings(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def count_of(rows: CTE) -> ScalarSelect[int]:
    """Return the number of rows of a part of a statement."""
    return select(func.count()).select_from(rows).scalar_subquery()


def resync_if(*rows: CTE, to: ColumnElement[str] = NOTE) -> ColumnElement[Any]:
    """Return the column that announces `resync` if any of these parts of the statement has written rows."""
    written = or_(*(exists(select(literal_column("1")).select_from(part)) for part in rows))
    return announced(kind_is("resync"), to=to, when=written)


def _claim() -> Select[*tuple[Any, ...]]:
    """Change the owner of all that a visitor has.

    Items follow by the foreign key, which sees those that were added a moment ago, too: the thread's
    row is locked, and a later one finds no thread of the visitor's any more.
    """
    items = select(ThreadItem.id).where(ThreadItem.user_id == _VISITOR).cte("items")
    moved = [
        update(table)
        .where(table.user_id == _VISITOR)
        .values(user_id=_OWNER)
        .returning(literal_column("1"))
        .cte(name)
        for table, name in ((Thread, "threads"), (Attachment, "attachments"))
    ]
    threads, attachments = moved
    # Answers that are being written to the visitor at this moment follow; see `claimed_by`.
    noted = insert(Claim).from_select(
        ["user_id", "account_id"],
        select(_VISITOR, _OWNER).where(exists(select(literal_column("1")).select_from(threads))),
        include_defaults=False,
    )
    claims = noted.on_conflict_do_update(
        index_elements=[Claim.user_id],
        set_={"account_id": noted.excluded.account_id, "claimed_at": func.clock_timestamp()},
    ).cte("claims")
    return select(
        count_of(threads),
        count_of(items),
        count_of(attachments),
        resync_if(threads),
        resync_if(threads, to=bindparam("visitors_note", type_=Text)),
    ).add_cte(claims)


def _claim_requests() -> Statement:
    """Have a request that was sent as a visitor found when it is repeated by the account."""
    known = aliased(KeyedRequest, name="known")
    return Statement(
        "owners.claim_requests",
        update(KeyedRequest)
        .where(
            KeyedRequest.user_id == _VISITOR,
            ~exists(select(known.id).where(known.user_id == _OWNER, known.id == KeyedRequest.id)),
        )
        .values(user_id=_OWNER)
        .returning(literal_column("1")),
    )


def _erase() -> Select[*tuple[Any, ...]]:
    chosen = (
        select(Thread.id)
        .where(Thread.user_id == _OWNER)
        .order_by(Thread.id)
        .limit(literal_column(str(_BATCH)))
        .with_for_update()
        .cte("chosen")
    )
    ids = select(chosen.c.id)
    items = (
        select(ThreadItem.id).where(ThreadItem.user_id == _OWNER, ThreadItem.thread_id.in_(ids)).cte("items")
    )
    gone, removals = attachments_gone(Attachment.user_id == _OWNER, Attachment.thread_id.in_(ids))
    threads = (
        delete(Thread)
        .where(Thread.user_id == _OWNER, Thread.id.in_(ids))
        .returning(literal_column("1"))
        .cte("threads")
    )
    return select(count_of(threads), count_of(items), count_of(gone), resync_if(threads)).add_cte(removals)


def _erase_files() -> Select[*tuple[Any, ...]]:
    gone, removals = attachments_gone(Attachment.user_id == _OWNER)
    one: ColumnElement[int] = literal_column("1")
    claims = delete(Claim).where(_OWNERS_CLAIM).returning(one).cte("claims")
    return select(count_of(gone), count_of(claims)).add_cte(removals)


def _held() -> Select[*tuple[Any, ...]]:
    conditions = {
        Thread: Thread.user_id == _OWNER,
        ThreadItem: ThreadItem.user_id == _OWNER,
        Attachment: Attachment.user_id == _OWNER,
        KeyedRequest: KeyedRequest.user_id == _OWNER,
        Claim: _OWNERS_CLAIM,
    }
    return select(
        *(
            select(func.count()).select_from(table).where(condition).scalar_subquery()
            for table, condition in conditions.items()
        )
    )


CLAIM = Statement("owners.claim", _claim())
CLAIMED_BY = Statement(
    "owners.claimed_by",
    select(Claim.account_id).where(
        Claim.user_id == _OWNER, Claim.claimed_at > func.clock_timestamp() - LONGEST_ANSWER
    ),
)
CLAIM_REQUESTS = _claim_requests()
ERASE = Statement("owners.erase", _erase())
ERASE_FILES = Statement("owners.erase_files", _erase_files())
ERASE_REQUESTS = Statement(
    "owners.erase_requests",
    delete(KeyedRequest).where(KeyedRequest.user_id == _OWNER).returning(literal_column("1")),
)
HELD = Statement("owners.held", _held())


class OwnerRepository:
    """All that one owner has."""

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def claim(self, visitor: str) -> Counts:
        """Take over all that a visitor has, all or nothing; nothing when it was taken over before.

        Raises StatementFailed (unique violation) when this owner has a thread of the same id.
        """
        rows = await self._database.write(
            CLAIM,
            owner=self._user_id,
            visitor=visitor,
            note=self._announcer.note(self._user_id),
            visitors_note=self._announcer.note(visitor),
        )
        await self.claim_requests(visitor)
        if (counts := counts_in(rows)).threads:
            self._announcer.tell(self._user_id, "resync")
            self._announcer.tell(visitor, "resync")
        return counts

    async def claim_requests(self, visitor: str) -> None:
        """Take over a visitor's keyed requests.

        A statement of its own: it sees those that began while the threads' statement waited for
        somebody, and waits itself for nobody who waits for a thread.
        """
        await self._database.write(CLAIM_REQUESTS, owner=self._user_id, visitor=visitor)

    async def claimed_by(self) -> str | None:
        """Return the account that took over this visitor's conversations within the last hour."""
        rows = await self._database.read(CLAIMED_BY, owner=self._user_id)
        return rows[0][0] if rows else None

    async def held(self) -> Holdings:
        """Return how much there is."""
        rows = await self._database.read(HELD, owner=self._user_id)
        return Holdings(*rows[0])

    async def erase(self) -> Holdings:
        """Delete everything, the newest included that is written meanwhile; return how much there was.

        In steps of some threads each, so that no statement runs for long; a step that is repeated
        because its connection died is not counted.
        """
        total = Holdings()
        note = self._announcer.note(self._user_id)
        while True:
            rows = await self._database.write(ERASE, owner=self._user_id, note=note)
            if (step := Holdings(*counts_in(rows))) == Holdings():
                break
            self._announcer.tell(self._user_id, "resync")
            total = total.plus(step)
        attachments, claims = (await self._database.write(ERASE_FILES, owner=self._user_id))[0]
        requests = await self._database.write(ERASE_REQUESTS, owner=self._user_id)
        return total.plus(Holdings(attachments=attachments, requests=len(requests), claims=claims))
