"""Times as stores wrote them."""

from datetime import UTC, datetime, tzinfo

from pydantic import TypeAdapter, ValidationError

from migrations_data.units import micros

_ANY: TypeAdapter[datetime] = TypeAdapter(datetime)


class Clock:
    """Reads times; those without a zone are read as being in one."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self.naive = 0
        """How many times without a zone were read."""

    def read(self, value: object) -> int | None:
        """Return a time in microseconds, None when there is none that ChatKit can read."""
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return None
        try:
            moment = _ANY.validate_python(value)
        except ValidationError:
            return None
        if moment.tzinfo is None:
            self.naive += 1
            moment = moment.replace(tzinfo=self._zone)
        try:
            return micros(moment.astimezone(UTC))
        except OverflowError:
            # At the ends of the calendar.
            return micros(moment.replace(tzinfo=UTC))
