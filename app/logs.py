"""Log lines without secrets and without what people wrote.

An exception's text is made by whoever raises it, and often of the data at hand: the row that
violates a constraint, the field that is not valid, the address with its signature. So the text
is written only for kinds whose text is about the program or the machine; of the others the kind,
what is known to be harmless, and where it happened: the traceback's files, lines and source.
"""

import copy
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

import httpx
from chatkit.store import NotFoundError
from pydantic import ValidationError

from app.database.embedded import EmbeddedPostgresError
from app.database.failures import StatementFailed
from app.errors import ChatHistoryError
from app.log_lines import as_json, as_text, fields_of
from app.retrieval.passages import RetrievalUnavailable

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LONGEST_TEXT = 500
_SERVER_ERRORS = 500
_SPEAKS_OF_THE_PROGRAM: tuple[type[BaseException], ...] = (
    ArithmeticError,
    AttributeError,
    EmbeddedPostgresError,
    ImportError,
    NameError,
    NotImplementedError,
    RetrievalUnavailable,
    StatementFailed,
    TypeError,
)
# Control characters move a terminal's cursor or begin a line that looks like ours.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


Form = Literal["text", "json"]


def configure_logs(level: str = "info", form: Form = "text") -> None:
    """Send everything that is logged to stderr, one line each, without secrets or message text.

    `level` is for the server and this project; other libraries are heard from warnings on. `form`
    is for a person, or one JSON object a line. Calling it again changes both.
    """
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Stderr)]
    root.addHandler(_Stderr(form))
    root.setLevel(logging.WARNING)
    for name in ("app", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
    # With LOG_LEVEL in the environment the SDK writes by itself. Its warnings quote what was sent.
    sdk = logging.getLogger("chatkit")
    sdk.handlers.clear()
    sdk.setLevel(logging.ERROR)
    # Its failures are told by whoever catches them, and by their kind only.
    logging.getLogger("openai.agents").setLevel(logging.CRITICAL)
    logging.captureWarnings(True)
    for name, rule in (
        ("uvicorn.access", _without_query),
        ("asyncio", _first_line_only),
        ("py.warnings", _first_line_only),
        ("chatkit", _not_refusals),
    ):
        logger = logging.getLogger(name)
        if rule not in logger.filters:
            logger.addFilter(rule)


class SafeFormatter(logging.Formatter):
    """Writes exceptions as `described` does, wherever in a record they are."""

    def __init__(self, form: Form = "text") -> None:
        super().__init__(_FORMAT)
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it, or in it if it is JSON, the tracebacks of an exception."""
        fields = fields_of(record)
        record = copy.copy(record)
        # Another handler's formatter may have left its own rendering here.
        record.exc_text = None
        record.msg = _told(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_told(value) for value in record.args)
        record.msg = record.getMessage().replace("\n", "\n    ").translate(_VISIBLE)
        record.args = None
        if self._form == "json":
            trace = self.formatException(record.exc_info) if record.exc_info else None
            return as_json(record, record.msg, trace, fields)
        return as_text(super().format(record), fields)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the tracebacks of an exception and of those it came from, the first one first."""
        return "".join(_rendered(ei[1], set())).rstrip("\n")


def described(error: BaseException) -> str:
    """Return an exception's kind, and of its text what cannot hold data."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = _harmless_text(error)
    return f"{name}: {text}" if text else name


def _harmless_text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return _shortened("; ".join(f"{_place(problem['loc'])} {problem['type']}" for problem in problems))
    if isinstance(error, UnicodeError):
        return str(getattr(error, "reason", ""))
    if isinstance(error, httpx.HTTPError):
        return _address(error)
    # Of those of the system, that is: libraries have kinds below OSError with words of their own.
    if isinstance(error, _SPEAKS_OF_THE_PROGRAM) or (isinstance(error, OSError) and error.errno is not None):
        return _shortened(str(error))
    if sqlstate := getattr(error, "sqlstate", None):
        return f"SQLSTATE {sqlstate}"
    return "(its text may quote what people wrote)" if str(error) else ""


def _place(location: tuple[int | str, ...]) -> str:
    # A key of a mapping is data as well; names of fields are identifiers.
    return ".".join(str(part) if isinstance(part, int) or part.isidentifier() else "…" for part in location)


def _address(error: httpx.HTTPError) -> str:
    try:
        request = error.request
    except RuntimeError:
        return ""
    return f"{request.method} {request.url.scheme}://{request.url.netloc.decode()}{request.url.path}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _told(value: object) -> object:
    return described(value) if isinstance(value, BaseException) else value


def _rendered(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    if error.__cause__ is not None:
        yield from _rendered(error.__cause__, seen)
        yield "\nThe above exception was the direct cause of the following exception:\n\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _rendered(error.__context__, seen)
        yield "\nDuring handling of the above exception, another exception occurred:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield described(error).replace("\n", "\n    ").translate(_VISIBLE) + "\n"
    if isinstance(error, BaseExceptionGroup):
        for number, part in enumerate(error.exceptions, 1):
            yield f"\nException {number} of the group:\n"
            yield from _rendered(part, seen)


def _without_query(record: logging.LogRecord) -> bool:
    """Cut query strings from uvicorn's access lines: links to files carry their signature there."""
    if isinstance(record.args, tuple) and len(record.args) == 5:  # noqa: PLR2004 - uvicorn's arguments
        client, method, path, version, status = record.args
        record.args = (client, method, urlsplit(str(path)).path, version, status)
    return True


def _first_line_only(record: logging.LogRecord) -> bool:
    """Cut what stands below: the representation of an exception, or of the value that was warned of."""
    record.msg = record.getMessage().split("\n", 1)[0]
    record.args = None
    return True


def _not_refusals(record: logging.LogRecord) -> bool:
    """Leave out what the SDK logs as failures and is none: a request for a thread that is not there."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, NotFoundError) and not (
        isinstance(error, ChatHistoryError) and error.status_code < _SERVER_ERRORS
    )


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at that moment; a test's is not that of the next."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.setFormatter(SafeFormatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say which record could not be written; logging's own way would print its values."""
        print(f"A log line of {record.name}:{record.lineno} cannot be written", file=sys.stderr)  # noqa: T201
