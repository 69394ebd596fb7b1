"""A value as a literal of SQLite, which has neither times nor truth values of its own."""

from datetime import UTC, date, datetime, timedelta

from batchops.db import values


def literal(value: values.Value) -> str:
    """A moment as text, in UTC if it has a zone; a duration as its functions take it: '86400 seconds'."""
    match value:
        case bool():
            return str(int(value))
        case str():
            return values.quoted_text(value)
        case datetime():
            here = value if value.tzinfo is None else value.astimezone(UTC)
            return f"'{values.moment(here)}'"
        case date():
            return f"'{values.day(value)}'"
        case timedelta():
            seconds = values.microseconds(value) / 1_000_000
            return f"'{seconds:.6f}".rstrip("0").rstrip(".") + " seconds'"
        case _:
            return values.number(value)
