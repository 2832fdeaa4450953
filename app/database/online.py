"""What a migration needs so that people go on writing while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op

LOCK_TIMEOUT = "300ms"
"""How long a migration waits for a lock: all writes to the table queue up behind it meanwhile."""
_AUTOVACUUM_TIMEOUT = "5s"


def lock(*tables: str) -> None:
    """Take tables for the rest of the transaction; call it right before the statements that need them.

    Name `chat_threads` before `chat_thread_items`, as the service's statements do, and no more than two
    tables: the waits for them add up. What is done with them must not depend on the number of rows.
    """
    names = ", ".join(tables)
    # Autovacuum makes way for whoever has waited a second (deadlock_timeout). This mode conflicts with it,
    # and with no reader and no writer, so that nobody queues up during that second.
    op.execute(f"SET LOCAL lock_timeout = '{_AUTOVACUUM_TIMEOUT}'")
    op.execute(f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE")
    op.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    op.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


@contextmanager
def beside_writers() -> Iterator[None]:
    """Run statements that let others write while they run and while they wait, each by itself.

    That is CREATE and DROP INDEX CONCURRENTLY, and VALIDATE CONSTRAINT. What the migration did before is
    committed, and it is not marked as done: all of it has to bear being run again.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        yield
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
