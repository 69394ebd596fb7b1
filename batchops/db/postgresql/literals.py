"""A value as a literal of PostgreSQL."""

from datetime import date, datetime, timedelta

from batchops.db import values


def literal(value: values.Value) -> str:
    """Typed where there is a type for it."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            text = values.quoted_text(value)
            # E'' reads a backslash the same way whatever standard_conforming_strings says.
            return "E" + text.replace("\\", "\\\\") if "\\" in text else text
        case datetime() if value.tzinfo is not None:
            return f"TIMESTAMPTZ '{value.isoformat(' ')}'"
        case datetime():
            return f"TIMESTAMP '{values.moment(value)}'"
        case date():
            return f"DATE '{values.day(value)}'"
        case timedelta():
            return f"INTERVAL '{values.microseconds(value)} microseconds'"
        case _:
            return values.number(value)
