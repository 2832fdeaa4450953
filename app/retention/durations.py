"""Lengths of time, as a person types them."""

import re
from datetime import timedelta

_DURATION = re.compile(r"([1-9][0-9]{0,5})([hdw])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=36525)


def parse_duration(text: str) -> timedelta:
    """Return the length of `90d`, `12h` or `2w`. Raises ValueError that says what to write instead."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no length of time. Write a whole number, and h, d or w for hours, days or weeks:"
            " 12h, 90d, 2w"
        )
    duration = int(match[1]) * _UNITS[match[2]]
    if duration > _LONGEST:
        raise ValueError(f"{text!r} is more than a hundred years. Write something like 90d")
    return duration
