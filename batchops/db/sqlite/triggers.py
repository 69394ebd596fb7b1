"""The triggers of a SQLite table, whose events only their SQL tells."""

import re
from collections.abc import Iterator
from itertools import takewhile

import sqlalchemy as sa

from batchops.db.facts import Trigger
from batchops.db.table import Table

_TRIGGERS = sa.text("""
SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE ORDER BY name
""")
_QUOTED = r'"(?:[^"]|"")*"' r"|`(?:[^`]|``)*`" r"|'(?:[^']|'')*'" r"|\[[^\]]*\]"
_TOKEN = re.compile(rf"\s+|--[^\n]*|/\*.*?\*/|(?P<token>{_QUOTED}|[\w$\x80-\U0010ffff]+|.)", re.DOTALL)


def triggers(connection: sa.Connection, table: Table) -> list[Trigger]:
    """Return the table's triggers by name, also those of an INSERT."""
    rows = connection.execute(_TRIGGERS, {"name": table.name})
    return [_trigger(row.name, row.sql, table.label) for row in rows]


def _trigger(name: str, sql: str, table: str) -> Trigger:
    tokens = _tokens(sql)
    for _ in ("CREATE", "TRIGGER", "its name"):
        next(tokens)
    word = next(tokens).upper()
    timing = "after" if word == "AFTER" else "before"
    while word not in ("DELETE", "INSERT", "UPDATE"):
        word = next(tokens).upper()
    listed = takewhile(lambda token: token.upper() != "ON", tokens)
    return Trigger(name, table, timing, word, tuple(_unquoted(one) for one in listed if one.upper() not in ("OF", ",")))


def _tokens(sql: str) -> Iterator[str]:
    return (found["token"] for found in _TOKEN.finditer(sql) if found["token"])


def _unquoted(name: str) -> str:
    mark = name[-1]
    return name[1:-1].replace(2 * mark, mark) if mark in "\"`'" else name.strip("[]")
