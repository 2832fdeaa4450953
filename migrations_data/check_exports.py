"""Records of an export, which are stored to the letter: what this release knows of them."""

from migrations_data.json_text import object_of
from migrations_data.stage import Stage

OF_THREAD = frozenset({"id", "created_at", "active_at", "title", "status", "payload", "metadata"})
OF_ITEM = frozenset({"thread_id", "id", "created_at", "feedback", "type", "turn", "payload"})
OF_FILE = frozenset({"id", "thread_id", "item_id", "created_at", "size", "payload"})


def tell_beyond(
    stage: Stage, line: int, record_id: str | None, parts: dict[str, str], known: frozenset[str]
) -> None:
    """Note the members of a record that find no place here: a newer release wrote them, or a person."""
    beyond = [(name, part) for name, part in parts.items() if name not in known]
    if beyond:
        kind = "an export's record has members that this release does not know, and that are left out"
        stage.problem(line, record_id, kind, object_of(beyond))
