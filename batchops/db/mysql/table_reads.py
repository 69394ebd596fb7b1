"""The tables that a condition reads beside the rows that it is about, and the value of a sub-select as a literal."""

import re
from collections.abc import Collection, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE

from batchops.db.facts import TableName
from batchops.db.mysql.literals import literal
from batchops.db.mysql.planner import MySQLPlanner
from batchops.db.mysql.sql_functions import SQL_FUNCTIONS
from batchops.db.table import Table

# The server writes a column with schema and table before it; there a dot follows the table's name.
_TABLE = {mark: re.compile(r"`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`(?!\.)".replace("`", mark)) for mark in ("`", '"')}
"""By the quote around names: with ANSI_QUOTES, the server itself writes double quotes."""
_QUOTED = re.compile(r"""'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|`(?:[^`]|``)+`""", re.DOTALL)
_NAME = r"(?:`\d+`|[\w$]+)"
_SOURCE = rf"[\s(]*(?:({_NAME})\s*\.\s*)?({_NAME})(?!\s*[.(])"
_FROM = re.compile(rf"\b(?:from|(?:straight_)?join)\b{_SOURCE}", re.IGNORECASE)
_LISTED = re.compile(rf",{_SOURCE}")
_WITH, _SELECT = re.compile(r"\bwith\b", re.IGNORECASE), re.compile(r"\bselect\b", re.IGNORECASE)
_VIEWS = sa.text("SELECT table_schema, table_name, view_definition FROM information_schema.views")
_ROUTINES = sa.text("""
SELECT routine_name, routine_definition FROM information_schema.routines
WHERE routine_schema = database() AND routine_type = 'FUNCTION'
""")
_TABLES = sa.text("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = database()")
_FOLDS = sa.text("SELECT @@lower_case_table_names")
_FRESH = sorted(name.split("(")[0] for name in SQL_FUNCTIONS.fresh if "(" in name)
_DRAWN = re.compile(rf"(?<!\w)(?:(?:{'|'.join(_FRESH)})\s*\(|next\s+value\s+for\s)", re.IGNORECASE)
_QUOTIENT_DIGITS = 4
"""How many more decimal digits a quotient has than the dividend, at the default of div_precision_increment."""
_NO_LITERAL = frozenset({FIELD_TYPE.BIT, FIELD_TYPE.GEOMETRY, FIELD_TYPE.JSON})
"""Types whose literals compare in another way than the column's own values."""


def tables_read(
    connection: sa.Connection, planner: MySQLPlanner, table: Table,
    condition: sa.ColumnElement[bool] | sa.TextClause, values: Sequence[sa.TextClause], functions: Collection[str],
) -> frozenset[TableName]:  # fmt: skip
    """Return the tables by the server's rewritten statement, with schemas; those of functions by their source."""
    here = connection.execute(sa.select(sa.func.database())).scalar_one()
    rows = sa.select(*values) if values else sa.select(sa.literal_column("1"))
    planner.rows(connection, rows.select_from(table.called).where(condition))
    notes = [str(note[2]) for note in connection.exec_driver_sql("SHOW WARNINGS") if note[1] == 1003]
    found = [pair for note in notes for pair in _tables_in(note)]
    own = (table.schema or here, table.name)
    read = {name for name in found if name != own or found.count(own) > 1}
    for text in (condition, *values):
        read |= _names_after_from(text.text, here) if isinstance(text, sa.TextClause) else set()
    read |= _behind_views(connection, read)
    if functions:
        read |= _behind_functions(connection, functions)
    if connection.execute(_FOLDS).scalar_one():
        read = _as_in_catalog(connection, read, own)
    return frozenset((None if schema == here and table.schema is None else schema, name) for schema, name in read)


def _tables_in(text: str) -> list[tuple[str, str]]:
    """Return the tables that are named in a text of the server, each as often as it is named."""
    found = [(mark, pair) for mark, table in _TABLE.items() for pair in table.findall(text)]
    return [(schema.replace(2 * mark, mark), name.replace(2 * mark, mark)) for mark, (schema, name) in found]


def _names_after_from(text: str, here: str) -> set[tuple[str, str]]:
    """Return the names after FROM and JOIN in the user's SQL.

    They are needed as MariaDB 10.11 does not show the contents of a WITH that it materialises.
    """
    names: list[str] = []

    def numbered(quoted: re.Match[str]) -> str:
        mark, name = quoted[0][0], quoted[0][1:-1]
        names.append(name.replace(2 * mark, mark))
        return "''" if mark == "'" else f"`{len(names) - 1}`"

    def bare(name: str) -> str:
        return names[int(name[1:-1])] if name.startswith("`") else name

    text = _QUOTED.sub(numbered, text)  # double quotes enclose a name with ANSI_QUOTES; no string follows FROM
    if not _SELECT.search(text):
        return set()  # extract(year FROM created_at)
    found = _FROM.findall(text) + (_LISTED.findall(text) if _WITH.search(text) else [])
    return {(bare(schema) or here, bare(name)) for schema, name in found}


def _as_in_catalog(connection: sa.Connection, read: set[tuple[str, str]], own: tuple[str, str]) -> set[tuple[str, str]]:
    """Return the tables with the catalogue's spelling, for a server that ignores case in table names."""
    known = [own, *((schema, name) for schema, name in connection.execute(_TABLES))]
    kept = {(schema.lower(), name.lower()): (schema, name) for schema, name in reversed(known)}
    return {kept.get((schema.lower(), name.lower()), (schema, name)) for schema, name in read}


def value_literal(connection: sa.Connection, named: sa.TextClause) -> str | None:
    """Return a literal that compares as the value does; None where there is no such literal."""
    if _DRAWN.search(named.text):
        return None  # this server evaluates it for each row, others once
    result = connection.execute(sa.select(named))
    kind = result.cursor.description[0][1] if result.cursor is not None else None
    value: Any = result.scalar_one()
    if value is None:
        return "NULL"
    if kind in _NO_LITERAL:
        return None
    text, written = named.text.removesuffix(" AS v"), _exact_literal(value)
    in_json = _json_literals(value, written)
    if isinstance(value, str) and (collation := _binary_collation(connection, text)):
        written, in_json = f"{written} COLLATE {collation}", ()
    if isinstance(value, Decimal):
        return _decimal(connection, text, value)
    if kind == FIELD_TYPE.FLOAT:  # it has more digits than the server shows
        written = _exact_literal(connection.execute(sa.text(f"SELECT CAST({text} AS double)")).scalar_one())
    return next((one for one in (written, *in_json) if _equal(connection, text, one)), None)


def _json_literals(value: Any, written: str) -> tuple[str, ...]:
    """Return other literals of the value, for which JSON functions see a boolean or a document."""
    match value:
        case 0 | 1:
            return ("TRUE" if value else "FALSE",)
        case str():
            return (f"json_extract({written}, '$')",)
    return ()


def _decimal(connection: sa.Connection, text: str, value: Decimal) -> str | None:
    """Return a literal for a decimal number; None where there is none.

    A quotient or an average compares by the digits that are shown, but calculations use more digits.
    """

    def whole(of: str) -> Any:
        # The expression itself is cast: a derived table around it would keep only the digits that are shown.
        return connection.execute(sa.text(f"SELECT CAST({of} AS decimal(65,30))")).scalar_one()

    exact = whole(text)
    if exact == value:
        return literal(value)
    before, _, behind = f"{exact:f}".rstrip("0").partition(".")
    zeros = len(f"{value:f}".partition(".")[2]) - _QUOTIENT_DIGITS
    written = f"(SELECT {before}{behind}{'.' + zeros * '0' if zeros > 0 else ''}/1{len(behind) * '0'})"
    shown = connection.execute(sa.text(f"SELECT {written}")).scalar_one()
    return written if shown == value and whole(written) == exact else None


def _exact_literal(value: Any) -> str:
    match value:
        case bytes():
            return f"X'{value.hex()}'"
        case timedelta():
            return f"TIME'{_time(value)}'"
        case float():
            return repr(value) if "e" in repr(value) else f"{value!r}e0"
    return literal(value)


def _binary_collation(connection: sa.Connection, text: str) -> str | None:
    """Return the expression's collation if it is a binary one of utf8mb4, else None.

    Compared with a column of another collation, the binary one counts; a bare literal would take the column's.
    """
    name = str(connection.execute(sa.text(f"SELECT collation({text})")).scalar_one())
    return name if name.startswith("utf8mb4_") and name.endswith("_bin") else None


def _equal(connection: sa.Connection, text: str, written: str) -> bool:
    """Whether both are equal, by themselves and inside JSON."""
    escaped = written.replace(":", "\\:")
    both = f"SELECT {text} <=> {escaped} AND json_array({text}) <=> json_array({escaped})"
    return bool(connection.execute(sa.text(both)).scalar_one())


def _time(value: timedelta) -> str:
    sign, whole = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(whole.days * 86_400 + whole.seconds, 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{whole.microseconds:06}"


def _behind_views(connection: sa.Connection, read: set[tuple[str, str]]) -> set[tuple[str, str]]:
    bodies = {(schema, name): body or "" for schema, name, body in connection.execute(_VIEWS)}
    seen: set[tuple[str, str]] = set()
    waiting = list(read)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _tables_in(bodies.get(name, ""))
    return seen


def _behind_functions(connection: sa.Connection, functions: Collection[str]) -> set[tuple[str, str]]:
    bodies = {name.lower(): body or "" for name, body in connection.execute(_ROUTINES)}
    seen: set[str] = set()
    waiting = [name for name in functions if name in bodies]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [other for other in bodies if _mentions(bodies[name], other)]
    tables = [(schema, name) for schema, name in connection.execute(_TABLES)]
    return _behind_views(connection, {t for t in tables if any(_mentions(bodies[f], t[1]) for f in seen)})


def _mentions(body: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", body, re.IGNORECASE) is not None
