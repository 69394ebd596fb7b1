"""A value as a literal of MariaDB and MySQL."""

from datetime import date, datetime, timedelta

from batchops.db import values
from batchops.errors import UsageError


def literal(value: values.Value) -> str:
    """Typed where there is a type for it; a duration is what may stand behind + or -."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            text = values.quoted_text(value)
            # Whether a backslash escapes hangs on sql_mode; hexadecimal digits mean the same in any.
            return f"_utf8mb4 X'{value.encode().hex()}'" if "\\" in value else text
        case datetime() if value.tzinfo is not None:
            raise UsageError(
                f'"{value}" has a zone, and a literal here has none.',
                "write it in the session's zone, without its own.",
            )
        case datetime():
            return f"TIMESTAMP'{values.moment(value)}'"
        case date():
            return f"DATE'{values.day(value)}'"
        case timedelta():
            return f"INTERVAL {values.microseconds(value)} MICROSECOND"
        case _:
            return values.number(value)
