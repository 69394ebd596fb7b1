"""Loads rows into SQLite by INSERT, each value with the storage class that it had."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import InexactValue, fields_of, line_maker
from batchops.db.row_loading import OnConflict, merge, own_columns, staged_clause, staged_name
from batchops.db.sqlite.triggers import triggers
from batchops.db.table import Table

_WHOLE = frozenset(kind for kind in ExactKind if kind.startswith(("int", "uint")))
_CLASSES = {
    **dict.fromkeys(_WHOLE - {ExactKind.UINT64}, ExactKind.INT64), ExactKind.BOOLEAN: ExactKind.INT64,
    ExactKind.FLOAT: ExactKind.DOUBLE, ExactKind.DOUBLE: ExactKind.DOUBLE, ExactKind.BYTES: ExactKind.BYTES,
    ExactKind.TAGGED: ExactKind.TAGGED,
}  # fmt: skip
"""The storage class for each kind; values of all other kinds are texts, as SQLite's numbers would round them."""
# A foreign key refers to columns of a unique index, which names their collation; the row number has none.
_COLLATION = sa.text("""
SELECT upper(x.coll) FROM pragma_index_list(:table) l, pragma_index_xinfo(l.name) x
WHERE l."unique" AND x.key AND x.name = :name COLLATE NOCASE LIMIT 1
""")
_WHOLE_AS_REAL = re.compile(rb"^r:(-?\d+)\.0$")
_TYPES = {
    ExactKind.INT64: "INTEGER", ExactKind.DOUBLE: "REAL", ExactKind.BYTES: "BLOB", ExactKind.TEXT: "TEXT",
    ExactKind.TAGGED: "BLOB",
}  # fmt: skip


class SQLiteRowLoading:
    """Loads values by storage class. A column's declared type may convert them, which reading them back shows."""

    family = "sqlite"

    def settle(self, connection: sa.Connection) -> None:
        pass  # there is nothing to set

    def taken_as(self, archived: ExactColumn, target: ExactColumn) -> ExactColumn:
        return replace(target, kind=_CLASSES.get(archived.kind, ExactKind.TEXT))

    def load(
        self, connection: sa.Connection, into: sa.TableClause, columns: Sequence[ExactColumn], lines: Sequence[bytes]
    ) -> None:  # fmt: skip
        preparer = connection.dialect.identifier_preparer
        names = ", ".join(preparer.quote_identifier(column.name) for column in columns)
        marks = ", ".join("?" * len(columns))
        values = [_VALUES.get(column.kind, bytes.decode) for column in columns]
        rows = [
            tuple([None if f is None else value(f) for f, value in zip(fields_of(line), values, strict=True)])
            for line in lines
        ]
        if rows:
            connection.exec_driver_sql(f"INSERT INTO {preparer.format_table(into)} ({names}) VALUES ({marks})", rows)

    def stage(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> sa.TableClause:
        staged = staged_clause(staged_name(table, columns), columns, "temp")
        select = sa.select(*own_columns(table.clause, columns)).compile(dialect=connection.dialect)
        name = connection.dialect.identifier_preparer.format_table(staged)
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} AS {select} WHERE 0")
        connection.execute(sa.delete(staged))
        return staged

    def lines(
        self, connection: sa.Connection, table: sa.FromClause, columns: Sequence[ExactColumn], *, streamed: bool = False
    ) -> Iterator[bytes]:  # fmt: skip
        query = sa.select(*own_columns(table, columns)).select_from(table)
        line, stored = line_maker(columns), line_maker([replace(one, kind=ExactKind.TAGGED) for one in columns])
        for row in connection.execute(query, execution_options={"stream_results": streamed}):
            try:
                yield line(row)
            except InexactValue:  # the column has made another value of it, which must not look like the one sent
                yield stored(row)

    def merge(
        self, connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
        key: Sequence[str], on_conflict: OnConflict,
    ) -> tuple[int, int]:  # fmt: skip
        return merge(connection, staged, table, columns, key, on_conflict)

    def triggers(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        return [one.name for one in triggers(connection, table) if one.event == "INSERT"]

    def unchangeable(self, *_: object) -> Sequence[str]:
        return ()

    def type_for(self, column: ExactColumn, family: str, *, in_key: bool) -> str:  # noqa: ARG002  any type may be one
        if family == self.family:
            return column.sql_type
        return _TYPES[_CLASSES.get(column.kind, ExactKind.TEXT)]

    def equal_texts(
        self, connection: sa.Connection, table: Table, name: str, texts: Sequence[bytes]
    ) -> Sequence[bytes]:  # fmt: skip
        collation = connection.execute(_COLLATION, {"table": table.name, "name": name}).scalar()
        if collation == "NOCASE":
            return [text.lower() for text in texts]  # of bytes: ASCII's letters only, as SQLite does
        if collation == "RTRIM":
            return [text.rstrip(b" ") for text in texts]
        return [_WHOLE_AS_REAL.sub(rb"i:\1", text) for text in texts]

    def advance_numbers(self, *_: object) -> None:
        pass  # SQLite follows the inserted values


def _tagged(field: bytes) -> Any:
    return _VALUES.get(_TAGS[field[:2]], bytes.decode)(field[2:])


def _bytes(field: bytes) -> bytes:
    return bytes.fromhex(field[2:].decode())


_TAGS = {b"i:": ExactKind.INT64, b"r:": ExactKind.DOUBLE, b"t:": ExactKind.TEXT, b"b:": ExactKind.BYTES}
_VALUES: dict[ExactKind, Callable[[bytes], Any]] = {
    ExactKind.INT64: int, ExactKind.DOUBLE: float, ExactKind.BYTES: _bytes, ExactKind.TAGGED: _tagged,
}  # fmt: skip
