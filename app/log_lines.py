"""What a log line holds beside its text: the request that it is about, and named values."""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request on whose behalf this runs; tasks begun by it have it, too."""


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the named values of a record, given as `extra={"fields": …}`; those that are None left out.

    They are numbers, names of this program's making, and ids; never what people wrote.
    """
    given = getattr(record, "fields", None)
    fields = {"request": request_id.get(), **(given if isinstance(given, Mapping) else {})}
    return {name: value for name, value in fields.items() if value is not None}


def as_text(line: str, fields: Mapping[str, Any]) -> str:
    """Return a line for a person, with its values behind the first line of it."""
    head, newline, rest = line.partition("\n")
    return " ".join([head, *(f"{name}={value}" for name, value in fields.items())]) + newline + rest


def as_json(record: logging.LogRecord, text: str, trace: str | None, fields: Mapping[str, Any]) -> str:
    """Return one JSON object, on one line: for what collects logs."""
    line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": text,
        **({"traceback": trace} if trace else {}),
        **fields,
    }
    return json.dumps(line, ensure_ascii=False, default=str)
