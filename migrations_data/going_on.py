"""Whether a move can go on where it stopped: only if what is written is what would be written now."""

from collections.abc import Sequence

from app.repositories.moves import MoveRepository, MoveState, Reading, WrittenBatch
from migrations_data.errors import OVERTAKEN, MoveRefused
from migrations_data.reports import counted
from migrations_data.stage import Stage

READER = 1
"""Version of what makes units of a source. Raise it when the same source becomes other units."""
_ANEW = "or --again, to begin anew: what is here stays as it is, and what was deleted since comes back"


def hindrance(
    stage: Stage, state: MoveState, batches: Sequence[WrittenBatch], reading: Reading, *, naive: int
) -> str | None:
    """Say why an unfinished move cannot go on with this reading of its source; None when it can.

    `naive` is how many times without a zone there are.
    """
    if state.plan == reading.plan or not state.position:
        return None
    if state.zone is not None and state.zone != reading.zone and naive:
        return (
            f"This was begun with --timezone {state.zone} and is unfinished: {_written(state)} so, and with"
            f" --timezone {reading.zone} the rest would not fit. Give --timezone {state.zone} again; {_ANEW}."
        )
    if batches and all(batch.digest == stage.digest(batch.after, batch.until) for batch in batches):
        return None
    whose = "by another release" if state.reader != reading.reader else "on another machine"
    return (
        f"This was begun {whose}, which read the source in another way, and is unfinished: {_written(state)}"
        f" so. Finish it as it was begun; {_ANEW}."
    )


def _written(state: MoveState) -> str:
    return f"{state.position:,} of {counted(state.units, 'record')} are written"


async def resumed(
    stage: Stage, moves: MoveRepository, state: MoveState, reading: Reading, *, naive: int, again: bool
) -> MoveState:
    """Have a move that began before go on with this reading, or begin anew if that is asked for and needed.

    Return how far it is. Raises MoveRefused when it cannot go on.
    """
    batches = await moves.batches(state.id)
    why = hindrance(stage, state, batches, reading, naive=naive)
    if state.finished_at is not None or (why is not None and again):
        await moves.restart(state, reading)
    elif why is not None:
        raise MoveRefused(why)
    elif state.plan != reading.plan:
        await moves.read_anew(state, reading)
    after = await moves.load(state.id)
    if after is None or after.plan != reading.plan:
        raise MoveRefused(OVERTAKEN)
    return after
