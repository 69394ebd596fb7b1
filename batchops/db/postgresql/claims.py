"""Claims in PostgreSQL."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.byte_limit import RowBytes
from batchops.db.claims import Claimable, Claiming, Marking, OrderBy, joined, nulls_placed
from batchops.db.postgresql import keys
from batchops.db.postgresql.claiming import PostgreSQLClaiming
from batchops.db.postgresql.keys import NamedType
from batchops.db.postgresql.marking import PostgreSQLMarking
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue

_FIXED = re.compile(
    r"(smallint|integer|bigint|oid|boolean|real|double precision|date|uuid|inet|cidr|macaddr8?"
    r"|numeric\(.*\)|interval.*|time(stamp)?(\(\d\))?( with(out)? time zone)?)"
)
"""Types whose values are always short."""
_BOUNDED = re.compile(r"character(?: varying)?\((\d+)\)")
_SHORT = 64
_LETTER = 4
"""The most bytes of a character."""
_LONG_NAME = 400
_WIDE = re.compile(r"character varying(?:\((\d+)\))?|text")
_MOST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


class PostgreSQLClaims:
    """Claims by FOR UPDATE SKIP LOCKED, and changes by UPDATE … RETURNING."""

    types: Mapping[str, str] = {
        "text": "text", "long text": "text", "number": "double precision", "count": "integer NOT NULL DEFAULT 0",
    }  # fmt: skip

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:  # noqa: ARG002  every version can
        return None

    def now(self) -> sa.ColumnElement[float]:
        return sa.func.date_part("epoch", sa.func.now(), type_=sa.Double())

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        return select.with_for_update(skip_locked=True)

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        column = table.called.c[quoted(by.column)]
        return [nulls_placed(column.desc() if by.down else column.asc(), by.nulls)]

    def claiming(self, rows: Claimable) -> Claiming:
        return PostgreSQLClaiming(rows)

    def marking(
        self, table: Table, names: Sequence[str], statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None, *, in_order: bool,
    ) -> Marking:  # fmt: skip
        return PostgreSQLMarking(table, names, statement, condition, in_order=in_order)

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        changed = statement.returning(*(keys.out(table, name) for name in names))
        return _rows(connection, changed)

    def row_name(self, table: Table, names: Sequence[str]) -> sa.ColumnElement[str]:
        name = joined([_text(table, one) for one in names], lambda part: sa.cast(sa.func.length(part), sa.Text))
        if all(_FIXED.fullmatch(table.column(one).stored) for one in names):
            return name
        digest = sa.func.encode(sa.func.sha256(sa.func.convert_to(name, "UTF8")), "hex", type_=sa.Text())
        long = sa.or_(sa.func.length(name) > _LONG_NAME, name.startswith("#"))
        return sa.case((long, sa.literal("#", sa.Text).concat(digest)), else_=name)

    def key_from_text(self, column: Column, text: str) -> Any:
        is_hex = column.stored == "bytea" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", text)
        return f"\\x{text}" if is_hex else text

    def row_bytes(self, table: Table, names: Sequence[str]) -> RowBytes:
        of_row: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger())
        most: int | None = 0
        for name in names:
            stored = table.column(name).stored
            bounded = _BOUNDED.fullmatch(stored)
            widest: int | None = None
            if _FIXED.fullmatch(stored):
                of_row, widest = of_row + _SHORT, _SHORT
            else:
                of_row = of_row + sa.func.coalesce(_bytes(table, name), 0)
                widest = _LETTER * int(bounded[1]) if bounded else None
            most = None if most is None or widest is None else most + widest
        return RowBytes(of_row, most)

    def serves(self, column: Column, kind: str, width: int) -> bool:
        if kind.endswith("text"):
            found = _WIDE.fullmatch(column.type)
            return found is not None and (found[1] is None or int(found[1]) >= width)
        return column.type in (_MOST if kind == "count" else ("double precision", "numeric"))

    def most(self, column: Column) -> int:
        return _MOST[column.type]

    def is_own(self, column: Column, kind: str) -> bool:
        return self.types[kind].startswith(column.type)

    def check_at_once(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")

    def kept(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        return keys.out(table, name)

    def restored(self, column: Column, kept: Any) -> sa.ColumnElement[Any]:
        return sa.cast(sa.bindparam(None, kept, sa.Text), NamedType(column.type))

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        if not column.type.startswith("timestamp"):
            return None
        now = sa.cast(sa.func.now(), NamedType(column.type))
        # An infinite time has no age.
        return sa.case((sa.func.isfinite(value), sa.func.date_part("epoch", now - value, type_=sa.Double())))


def _rows(connection: sa.Connection, statement: sa.Update | sa.Delete) -> Sequence[tuple[Any, ...]]:
    """Return the rows of the driver itself: SQLAlchemy would fetch them one by one, and make a Row of each."""
    found: Sequence[tuple[Any, ...]] = connection.execute(statement).cursor.fetchall()
    return found


def _text(table: Table, name: str) -> sa.ColumnElement[str]:
    """Return the column as text, a time independent of the session's zone."""
    column: sa.ColumnElement[Any] = table.called.c[quoted(name)]
    if table.column(name).stored.endswith("with time zone") and "timestamp" in table.column(name).stored:
        column = sa.func.timezone("UTC", column)
    # The column's own collation might treat different texts as equal, and could not use the index.
    return sa.collate(sa.cast(column, sa.Text), "default")


def _bytes(table: Table, name: str) -> sa.ColumnElement[int]:
    """Return the bytes of a column's text.

    The length of a value stored out of line is known without reading it. Documents are read: their text is longer.
    """
    column, stored = table.called.c[quoted(name)], table.column(name).stored
    if stored in ("text", "bytea") or stored.startswith("character varying"):
        return sa.func.octet_length(column, type_=sa.BigInteger())
    inside = sa.func.pg_column_size(column, type_=sa.BigInteger())
    return sa.case((inside > 1_000, sa.func.octet_length(sa.cast(column, sa.Text))), else_=inside * 4)
