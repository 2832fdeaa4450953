"""Records that the database does not take."""

from app.database.failures import StatementFailed
from migrations_data.stage import Stage

# Data exceptions, violated constraints, limits of size. A value that the driver refuses has no code.
_OF_VALUES = ("22", "23", "54")


def is_about_values(error: StatementFailed) -> bool:
    """Tell whether a record is to blame; a full disk, a missing privilege and others pass."""
    return error.sqlstate is None or error.sqlstate[:2] in _OF_VALUES


def leave_out(stage: Stage, after: int, until: int, error: StatementFailed) -> None:
    """Reject the one unit of a range that the database does not take, and the items of a thread."""
    reason = f"the database does not take it: {error.kind}"
    for item in list(stage.items(after, until)):
        stage.reject(item.line, item.id, reason, item.payload)
        stage.leave_out("items", item.n)
    for file in list(stage.files(after, until)):
        stage.reject(file.line, file.id, reason, file.payload)
        stage.leave_out("files", file.n)
    for thread in stage.threads(after, until):
        stage.reject(thread.line, thread.id, reason, thread.payload)
        stage.leave_out("threads", thread.n)
        for item in list(stage.items_of(thread.n)):
            stage.reject(item.line, item.id, "its thread is not taken", item.payload)
            stage.leave_out("items", item.n)
