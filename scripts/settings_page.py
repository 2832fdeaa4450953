"""Writes docs/settings.md from the Settings class: `make settings`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from app.settings import Settings

PAGE = Path(__file__).parents[1] / "docs/settings.md"

_NAME = re.compile(r"(?<![`\w/])[A-Z]+(?:_[A-Z]+)+(?![`\w])")
# A setting belongs to the first section with a beginning of its name.
_SECTIONS = {
    "Database": ("database_", "chat_pool_", "chat_prepared_", "chat_database_"),
    "Who is asking": ("auth_", "chat_anonymous", "chat_secret", "chat_memory_", "cors_"),
    "What answers": ("chat_responder", "chat_echo_", "openai_", "chat_model_", "qdrant_", "chat_index"),
    "Messages and files": (
        *("chat_attachment", "chat_files_", "chat_public_"),
        *("chat_max_attachment_", "chat_max_message_", "chat_max_request_"),
    ),
    "Limits": ("chat_rate_", "chat_max_streams"),
    "Sending again": ("chat_turn_", "chat_max_answer_"),
    "Live sync, and several processes": ("redis_", "chat_events_", "chat_max_event_"),
    "More": ("",),
}
_HEAD = """\
---
title: Settings
slug: settings
description: Every environment variable of the server, with its default and what it does.
keywords: [
  configuration, config, configure, options, preferences, parameters, flags, knobs, switches, env vars,
  dotenv, environment, reference, cheat sheet, complete list, adjust, tune, tweak, customise, change the
  limit, raise, lower, increase, decrease, maximum, minimum, allowed length, character limit, timeout, how
  long, interval, feature toggle, enable, disable, switch off, turn on, deactivate, where do I put, typo,
  misspelled, invalid, mandatory, optional, preset, standard value, megabytes, upload size, file formats,
  MIME types, Word documents, zip, video files, forbid uploads, bucket, MinIO, folder location, directory,
  path, structured logging, JSON logs, OpenTelemetry, Jaeger, tracing, spans, metrics password, Prometheus,
  slow query log, pool, connections, idle, throttle, cluster, proxy, passphrase, signing key, reasoning,
  model name, API credentials, base address, grace period, long answers, simultaneous answers, open tabs,
  simulate slow typing, whitelisted websites]
toc_max_heading_level: 2
---

# Settings

Set them as environment variables, or as lines in a file `.env` in the folder where the server starts. Only
`DATABASE_URL` is required. A wrong value stops the start and names itself. What is empty counts as not set.

`chatkit-neon demo` has a database of its own, and takes all other settings from here.

<!-- Made from app/settings.py by `make settings`. -->
"""


def page() -> str:
    """Return the page as it should be."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    left = dict(Settings.model_fields)
    for title, beginnings in _SECTIONS.items():
        names = [name for name in left if name.startswith(beginnings)]
        if names:
            yield f"## {title}\n"
            yield from (_setting(name, left.pop(name)) for name in names)


def _setting(name: str, field: FieldInfo) -> str:
    description = _NAME.sub(r"`\g<0>`", " ".join((field.description or "").split()))
    return f"### `{name.upper()}`\n\n{description}\n\n{_values(field)}\n"


def _values(field: FieldInfo) -> str:
    default = "Required." if field.is_required() else f"Default: {_shown(_default(field))}."
    # What may be left out is a union with None.
    kinds = [field.annotation, *get_args(field.annotation)]
    values = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    return f"{default} One of {_listed(values)}." if values else default


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _shown(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, float):
        return f"`{value:g}`"
    return _listed(value) if isinstance(value, tuple | list) else f"`{value}`"


def _listed(values: tuple[Any, ...] | list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    PAGE.write_text(page())
