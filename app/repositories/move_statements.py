"""The statements that write rows of a data move, and the ledger's step with them.

One writes a batch for the first time. The other writes what of a batch has never arrived; it knows by
the batch's row what that is.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, insert

from app.database import Statement
from app.models import Attachment, DataMove, DataMoveBatch, FileRemoval, Thread, ThreadItem
from app.repositories.given import (
    ATTACHMENT_COLUMNS,
    ITEM_COLUMNS,
    NUMBER,
    TEXT,
    THREAD_COLUMNS,
    TIME,
    Columns,
    given_rows,
)
from app.repositories.owners import count_of

ONE: ColumnElement[Any] = literal_column("1")
_OF_OWNER: Columns = {"user_id": TEXT}
_UNIT: Columns = {"unit": NUMBER}
_THREAD_ROW = _OF_OWNER | THREAD_COLUMNS
_ITEM_ROW = _OF_OWNER | ITEM_COLUMNS | {"turn": TEXT}
_FILE_ROW = _OF_OWNER | ATTACHMENT_COLUMNS
THREADS_GIVEN = _THREAD_ROW | _UNIT
ITEMS_GIVEN = _ITEM_ROW | {"place": NUMBER}
FILES_GIVEN = _FILE_ROW | _UNIT
_MOVE: ColumnElement[str] = bindparam("move", type_=Text)
_AFTER: ColumnElement[int] = bindparam("after", type_=BigInteger)
_UNTIL: ColumnElement[int] = bindparam("until", type_=BigInteger)
_OF_USER: ColumnElement[str] = bindparam("of_user", type_=Text)
_OF_THREAD: ColumnElement[str] = bindparam("of_thread", type_=Text)
_ITEM_KEY: tuple[ColumnElement[Any], ...] = tuple(
    ThreadItem.__table__.c[name] for name in ("user_id", "thread_id", "id")
)


def _next_step() -> CTE:
    """Return the part that finds the move where this batch begins; no row when it stands elsewhere."""
    return (
        select(DataMove.id)
        .where(
            DataMove.id == _MOVE,
            # Another plan numbers other units.
            DataMove.plan == bindparam("plan", type_=Text),
            DataMove.position == _AFTER,
            DataMove.finished_at.is_(None),
        )
        .with_for_update()
        .cte("step")
    )


def _step_back() -> CTE:
    """Return the part that finds the batch of which some units never arrived; no row when they have since."""
    units = func.unnest(bindparam("units", type_=ARRAY(BigInteger))).column_valued("unit")
    return (
        select(DataMoveBatch.move)
        .where(
            DataMoveBatch.move == _MOVE,
            DataMoveBatch.until == _UNTIL,
            ~DataMoveBatch.placed.overlaps(select(_numbers(units)).scalar_subquery()),
        )
        .with_for_update()
        .cte("step")
    )


def _numbers(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the set of some numbers."""
    number = cast(column, BigInteger)
    numbers = func.range_agg(func.int8range(number, number + ONE))
    return func.coalesce(cast(numbers, INT8MULTIRANGE), cast(literal_column("'{}'"), INT8MULTIRANGE))


def _taken(name: str, columns: Columns, step: CTE) -> Any:
    given = given_rows(name, columns).subquery(f"all_{name}")
    return select(given).where(exists(select(ONE).select_from(step))).subquery(f"taken_{name}")


def probe(model: Any, columns: Sequence[Any], key: Sequence[Any], of: Any) -> Any:
    """Return columns of the row that has this primary key, or of the next one.

    Ordered, and with a limit, it can only be read from the primary key. A plain join may read the
    whole table for each batch: statistics of a table that is being filled are always stale.
    """
    places = list(model.__table__.primary_key.columns)
    return (
        select(*places, *columns)
        .where(tuple_(*places) >= tuple_(*key))
        .order_by(*places)
        .limit(ONE)
        .correlate(of)
    )


def _there(model: Any, key: Sequence[Any], of: Any) -> ColumnElement[bool]:
    """Tell whether there is a row with this primary key."""
    found = probe(model, (), key, of).subquery("probe")
    return exists(select(ONE).select_from(found).where(tuple_(*found.c) == tuple_(*key)))


def _write(step: CTE, ledger: Callable[[CTE, CTE], Sequence[CTE]]) -> Select[*tuple[Any, ...]]:
    """Insert what is given, if the step finds its row; `ledger` notes the counts and the units placed."""
    given = _taken("items", ITEMS_GIVEN, step)
    is_known = _there(ThreadItem, (given.c.user_id, given.c.thread_id, given.c.id), given)
    all_items = select(given, is_known.label("is_known")).cte("all_items")
    given_threads = _taken("threads", THREADS_GIVEN, step)
    given_files = _taken("files", FILES_GIVEN, step)
    thread = (all_items.c.user_id, all_items.c.thread_id)
    number = func.row_number().over(partition_by=thread, order_by=all_items.c.position)
    new_items = select(all_items, number.label("number")).where(~all_items.c.is_known).cte("new_items")
    key = (new_items.c.user_id, new_items.c.thread_id)
    more = select(*key, func.count().label("more")).group_by(*key).cte("more")
    made = _threads(given_threads, more)
    threads = select(made).union_all(select(_continued(more))).cte("threads")
    items = _items(new_items, more, threads)
    files, bound = _files(given_files)
    placed = union_all(
        select(all_items.c.position.label("unit")).where(
            or_(all_items.c.is_known, _is_among(items, *thread, all_items.c.id))
        ),
        _arrived(given_threads, Thread, made),
        _arrived(given_files, Attachment, files),
    ).subquery("placed")
    is_new = select(func.count()).where(threads.c.is_new).scalar_subquery()
    done = select(
        is_new.label("n_threads"),
        count_of(items).label("n_items"),
        count_of(files).label("n_attachments"),
        select(_numbers(placed.c.unit)).scalar_subquery().label("placed"),
    ).cte("done")
    first, *others = ledger(step, done)
    return select(done.c.n_threads, done.c.n_items, done.c.n_attachments, count_of(first)).add_cte(
        bound, *others
    )


def _is_among(rows: CTE, *key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether a key is one of those that a part of the statement returned."""
    return tuple_(*key).in_(select(*list(rows.c)[: len(key)]))


def _arrived(given: Any, model: Any, made: CTE) -> Select[*tuple[Any, ...]]:
    """Return the numbers of the given units that are here by now."""
    key = (given.c.user_id, given.c.id)
    return select(given.c.unit).where(or_(_is_among(made, *key), _there(model, key, given)))


def _counted(step: CTE, done: CTE, **more: Any) -> CTE:
    """Return the part that adds what was new to the ledger's counts."""
    names = ("threads", "items", "attachments")
    counts = {name: getattr(DataMove, name) + select(done.c[f"n_{name}"]).scalar_subquery() for name in names}
    return (
        update(DataMove)
        .where(DataMove.id == _MOVE, exists(select(ONE).select_from(step)))
        .values(**counts, **more)
        .returning(ONE)
        .cte("ledger")
    )


def _moved_on(step: CTE, done: CTE) -> Sequence[CTE]:
    """Move the ledger on, and note what the batch wrote."""
    noted = (
        insert(DataMoveBatch)
        .from_select(
            ["move", "until", "after", "digest", "placed"],
            select(_MOVE, _UNTIL, _AFTER, bindparam("digest", type_=Text), done.c.placed).where(
                exists(select(ONE).select_from(step))
            ),
            include_defaults=False,
        )
        .cte("noted")
    )
    return _counted(step, done, position=_UNTIL), noted


def _mended(step: CTE, done: CTE) -> Sequence[CTE]:
    """Note what has arrived after all."""
    placed = cast(select(done.c.placed).scalar_subquery(), INT8MULTIRANGE)
    noted = (
        update(DataMoveBatch)
        .where(
            DataMoveBatch.move == _MOVE,
            DataMoveBatch.until == _UNTIL,
            exists(select(ONE).select_from(step)),
        )
        .values(placed=DataMoveBatch.placed + placed)
        .cte("noted")
    )
    return _counted(step, done), noted


def _threads(given: Any, more: CTE) -> CTE:
    """Insert threads; one that is there stays as it is, but for what its new items change."""
    count = func.coalesce(more.c.more, cast(literal_column("0"), BigInteger))
    rows = select(*(given.c[column] for column in _THREAD_ROW), count).select_from(
        given.outerjoin(more, (more.c.user_id == given.c.user_id) & (more.c.thread_id == given.c.id))
    )
    put = insert(Thread).from_select([*_THREAD_ROW, "last_position"], rows, include_defaults=False)
    return (
        put.on_conflict_do_update(
            index_elements=[Thread.user_id, Thread.id],
            set_={
                "last_position": Thread.last_position + put.excluded.last_position,
                "active_at": func.greatest(Thread.active_at, put.excluded.active_at),
            },
            where=put.excluded.last_position > literal_column("0"),
        )
        .returning(
            Thread.user_id,
            Thread.id,
            Thread.last_position,
            # No transaction has put its mark on a row that was just made.
            literal_column("chat_threads.xmax = 0").label("is_new"),
        )
        .cte("made")
    )


def _continued(more: CTE) -> CTE:
    """Make room in a thread of an earlier batch; deleted since, it stays so, and its items find no place."""
    number = (
        select(more.c.more)
        .where(more.c.user_id == _OF_USER, more.c.thread_id == _OF_THREAD)
        .scalar_subquery()
    )
    return (
        update(Thread)
        .where(Thread.user_id == _OF_USER, Thread.id == _OF_THREAD, number > literal_column("0"))
        .values(
            last_position=Thread.last_position + number,
            active_at=func.greatest(Thread.active_at, bindparam("of_active", type_=TIME)),
        )
        .returning(Thread.user_id, Thread.id, Thread.last_position, literal_column("false").label("is_new"))
        .cte("continued")
    )


def _items(new_items: CTE, more: CTE, threads: CTE) -> CTE:
    behind_all = threads.c.last_position - more.c.more
    columns = [column for column in _ITEM_ROW if column != "position"]
    behind = (
        select(*(new_items.c[column] for column in columns), _position(new_items, behind_all))
        .join(threads, (threads.c.user_id == new_items.c.user_id) & (threads.c.id == new_items.c.thread_id))
        .join(more, (more.c.user_id == new_items.c.user_id) & (more.c.thread_id == new_items.c.thread_id))
    )
    return (
        insert(ThreadItem)
        .from_select([*columns, "position"], behind, include_defaults=False)
        .on_conflict_do_nothing(index_elements=[ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id])
        .returning(*_ITEM_KEY)
        .cte("items")
    )


def _position(new_items: CTE, behind: ColumnElement[int]) -> ColumnElement[int]:
    """Return an item's position: its own place while that is free, else behind what is there."""
    place = new_items.c.place
    key = (ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.position)
    is_taken = exists(
        select(ONE).where(tuple_(*key) == tuple_(new_items.c.user_id, new_items.c.thread_id, place))
    )
    return case(((place <= behind) & ~is_taken, place), else_=behind + new_items.c.number)


def _files(given: Any) -> tuple[CTE, CTE]:
    table = Attachment.__table__.c
    of_thread = (given.c.user_id, given.c.thread_id)
    of_item = (*of_thread, given.c.item_id)
    columns = (given.c[column] for column in _FILE_ROW)
    # Deleted since, they take their files with them; a file of nobody's is in no earlier batch.
    rows = select(*columns).where(
        ~_was_before(of_thread, "before_owner", "before_thread") | _there(Thread, of_thread, given),
        ~_was_before(of_item, "said_owner", "said_thread", "said_item") | _there(ThreadItem, of_item, given),
    )
    put = insert(Attachment).from_select([*_FILE_ROW], rows, include_defaults=False)
    files = (
        put.on_conflict_do_update(
            index_elements=[Attachment.user_id, Attachment.id],
            set_={"file_key": put.excluded.file_key, "size": put.excluded.size},
            where=_lacks_bytes(put.excluded),
        )
        .returning(table.user_id.label("owner"), table.id.label("id"), table.file_key.label("key"))
        .cte("files")
    )
    # Their bytes have an attachment now; those of one that was here before keep their note and go.
    bound = (
        delete(FileRemoval)
        .where(FileRemoval.user_id == files.c.owner, FileRemoval.file_key == files.c.key)
        .cte("bound")
    )
    return files, bound


def _was_before(key: Sequence[Any], *columns: str) -> ColumnElement[bool]:
    """Tell whether a key is among those that are given as being of earlier batches."""
    before = wanted(*columns)
    return exists(select(ONE).select_from(before).where(tuple_(*before.c) == tuple_(*key)))


def _lacks_bytes(brought: Any) -> ColumnElement[bool]:
    """Tell whether an attachment that is here has no bytes, and is otherwise the one that brings some."""
    here = Attachment.__table__.c
    same = [here[name].is_not_distinct_from(brought[name]) for name in ("thread_id", "item_id")]
    return and_(
        or_(here.file_key.is_(None), here.size.is_(None)),
        brought.file_key.is_not(None),
        or_(here.size.is_(None) & brought.size.is_not(None), here.size == brought.size),
        cast(here.payload, Text) == cast(brought.payload, Text),
        *same,
    )


def wanted(*columns: str) -> Any:
    """Return the rows that are given as one array of texts for each column, `columns`."""
    arrays = [bindparam(f"{column}s", type_=ARRAY(Text)) for column in columns]
    return func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()


WRITE = Statement("moves.write", _write(_next_step(), _moved_on))
MEND = Statement("moves.mend", _write(_step_back(), _mended))
