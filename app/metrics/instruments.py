"""Everything that is counted and timed, as it happens."""

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.database.observing import Outcome

_STATEMENT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ANSWER_SECONDS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
# The database answered: that it refused a statement is another matter.
_ANSWERED: frozenset[Outcome] = frozenset({"done", "refused"})


class Metrics:
    """The instruments of one server. Recording is cheap: microseconds, no lock held by a reader."""

    def __init__(self) -> None:
        """Begin with everything at zero."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "chatkit_http_requests",
            "Requests answered, by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "chatkit_http_request_seconds",
            "From a request's arrival to the end of its answer; streams last as long as they are read.",
            ("route",),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._rate_limited = Counter(
            "chatkit_rate_limited", "Requests refused because there were too many.", registry=self.registry
        )
        self._turns = Counter(
            "chatkit_turns",
            "Turns that ended: done, stopped by their user, interrupted, or refused before they began.",
            ("outcome",),
            registry=self.registry,
        )
        self._turn_seconds = Histogram(
            "chatkit_turn_seconds",
            "From a message's arrival to the end of its answer.",
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self._first_word_seconds = Histogram(
            "chatkit_first_word_seconds",
            "From a message's arrival to the first words of its answer.",
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self._repeats = Counter(
            "chatkit_repeated_requests",
            "Requests sent again with their Idempotency-Key, and answered without doing them again.",
            registry=self.registry,
        )
        self._statements = Counter(
            "chatkit_store_calls",
            "Store calls that ended, by statement; `refused` and `unreachable` are the database's.",
            ("statement", "outcome"),
            registry=self.registry,
        )
        self._statement_seconds = Histogram(
            "chatkit_store_call_seconds",
            "How long Store calls took, waiting for a connection and running again included.",
            ("statement",),
            buckets=_STATEMENT_SECONDS,
            registry=self.registry,
        )
        self._retries = Counter(
            "chatkit_store_retries",
            "Times a statement was run again because its connection died.",
            ("statement",),
            registry=self.registry,
        )
        self._database_up = Gauge(
            "chatkit_database_up",
            "0 when the last statement, or the last look by /readyz, did not reach the database.",
            multiprocess_mode="livemostrecent",
            registry=self.registry,
        )
        # Nothing is known yet, and nobody is to be woken for that.
        self._database_up.set(1)

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def rate_limited(self) -> None:
        """Count a request that was one too many."""
        self._rate_limited.inc()

    def turn_ended(self, outcome: str, seconds: float, first_word_seconds: float | None) -> None:
        """Count a turn; `first_word_seconds` is None when nothing was said."""
        if outcome == "repeated":
            return  # Another turn answers; it is counted by request_repeated().
        self._turns.labels(outcome).inc()
        self._turn_seconds.observe(seconds)
        if first_word_seconds is not None:
            self._first_word_seconds.observe(first_word_seconds)

    def request_repeated(self) -> None:
        """Count a request with a key that was known already."""
        self._repeats.inc()

    def statement_ended(self, name: str, seconds: float, retries: int, outcome: Outcome) -> None:
        """Count a statement; an `app.database.observing.Observer`."""
        ended, took = self._of(name, outcome)
        ended.inc()
        took.observe(seconds)
        if retries:
            self._retries.labels(name).inc(retries)
        if outcome in _ANSWERED:
            self._database_up.set(1)
        elif outcome == "unreachable":
            self._database_up.set(0)

    @lru_cache(maxsize=1024)  # noqa: B019 - as many as there are statements, and the server has one of these
    def _of(self, name: str, outcome: Outcome) -> tuple[Counter, Histogram]:
        """Return the children for a statement: finding them takes longer than counting."""
        return self._statements.labels(name, outcome), self._statement_seconds.labels(name)
