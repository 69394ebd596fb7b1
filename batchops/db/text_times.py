"""Columns that keep times as text: how a person compares one with a cut-off, as no literal in its type can."""

import re
from datetime import timedelta

from batchops.db.table import Column, Table
from batchops.errors import UsageError

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
"""A name that needs no quotes; they are escaped, as the comparison stands in the shell's double ones."""
_TEXTS = ("char", "varchar", "text", "citext", "tinytext", "mediumtext", "longtext")


def no_time(table: Table, column: Column, times: str, comparison: str, quote: str) -> UsageError:
    """What is said of a column that holds none of `times`. `comparison`: for one of texts, of which {} is the name."""
    name = column.name if _PLAIN.fullmatch(column.name) else f"\\{quote}{column.name}\\{quote}"
    hint = "write the comparison yourself with --where."
    if column.type.lower().startswith(_TEXTS):
        hint = f'where its texts are times, --where "{comparison.format(name)}" compares them.'
    return UsageError(f'Column "{column.name}" of "{table.label}" is {column.type}, not a {times}.', hint)


def whole(ago: timedelta) -> tuple[int, str]:
    """The number of days, where it is whole ones, else of seconds."""
    days, rest = divmod(ago, timedelta(days=1))
    return (round(ago.total_seconds()), "second") if rest else (days, "day")
