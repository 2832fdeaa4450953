"""What is told of turns and statements: to the metrics always, to the log when it is worth a line."""

import logging
from typing import Any

from app.api.watching import owner_hash
from app.chat.turns import RunningTurn
from app.database.observing import Outcome
from app.metrics import Metrics
from app.tracing import Traces

logger = logging.getLogger(__name__)


class Watch:
    """Hears of everything that ends."""

    def __init__(self, metrics: Metrics, traces: Traces, slow_seconds: float) -> None:
        """Record in `metrics` and `traces`, and log statements that took longer than `slow_seconds`."""
        self._metrics = metrics
        self._traces = traces
        self._slow_seconds = slow_seconds

    def statement_ended(self, name: str, seconds: float, retries: int, outcome: Outcome) -> None:
        """Note a statement; an `app.database.observing.Observer`."""
        self._metrics.statement_ended(name, seconds, retries, outcome)
        self._traces.ended(name, seconds, {"db.retries": retries, "outcome": outcome})
        if seconds > self._slow_seconds:
            fields = {"statement": name, "ms": _ms(seconds), "retries": retries, "outcome": outcome}
            logger.warning("slow store call", extra={"fields": fields})

    def turn_ended(self, turn: RunningTurn) -> None:
        """Note a turn."""
        record = turn.record
        seconds, first = record.seconds, record.first_word_seconds
        self._metrics.turn_ended(turn.outcome, seconds, first)
        self._traces.ended("turn", seconds, {"outcome": turn.outcome, "thread": turn.thread_id or ""})
        kind, _, user_id = turn.owner.partition(":")
        fields: dict[str, Any] = {
            "outcome": turn.outcome,
            "ms": _ms(seconds),
            "first_word_ms": None if first is None else _ms(first),
            "owner": owner_hash(user_id),
            "kind": kind,
            "thread": turn.thread_id,
            "keyed": turn.keyed is not None,
        }
        logger.info("turn", extra={"fields": fields})


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
