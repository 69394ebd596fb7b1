"""Loads rows into MariaDB and MySQL by INSERT of many rows, under a mode that refuses values it would change."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import fields_of, line_maker
from batchops.db.mysql.exact_columns import MySQLExactColumns
from batchops.db.row_loading import OnConflict, merge, own_columns, staged_clause, staged_name
from batchops.db.table import Table, quoted

_SETTINGS = (
    # This mode accepts zero dates and dates that no calendar has; it refuses all other values that do not fit.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', "
    "SESSION time_zone = '+00:00'"
)
_TRIGGERS = sa.text("""
SELECT trigger_name FROM information_schema.triggers
WHERE event_object_schema = coalesce(:schema, database()) AND event_object_table = :name
  AND event_manipulation = 'INSERT' ORDER BY 1
""")
_COLLATION = sa.text("""
SELECT collation_name AS collation, character_set_name AS charset FROM information_schema.columns
WHERE table_schema = coalesce(:schema, database()) AND table_name = :name AND column_name = :column
  AND collation_name IS NOT NULL
""")
_LISTED = """JSON_TABLE(:texts, '$[*]' COLUMNS (
  n FOR ORDINALITY, t longtext CHARACTER SET utf8mb4 PATH '$'
)) AS batchops_texts"""
_TYPES = {
    ExactKind.INT8: "tinyint", ExactKind.INT16: "smallint", ExactKind.INT32: "int", ExactKind.INT64: "bigint",
    ExactKind.UINT8: "tinyint unsigned", ExactKind.UINT16: "smallint unsigned", ExactKind.UINT32: "int unsigned",
    ExactKind.UINT64: "bigint unsigned", ExactKind.FLOAT: "double", ExactKind.DOUBLE: "double",
    ExactKind.BOOLEAN: "tinyint(1)", ExactKind.DATE: "date", ExactKind.TIMESTAMP: "datetime(6)",
    ExactKind.INSTANT: "datetime(6)", ExactKind.UUID: "char(36)", ExactKind.BYTES: "longblob",
    ExactKind.TEXT: "longtext", ExactKind.TAGGED: "",
}  # fmt: skip
_DRAWS = re.compile(r"nextval\((?P<sequence>(?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)\)")
_KEY_TEXT, _EXACT = "varchar(255)", "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_DIGITS, _PLACES = 65, 38
_MOMENTS = frozenset((ExactKind.DATE, ExactKind.TIMESTAMP, ExactKind.INSTANT))
_WHOLE = frozenset(kind for kind in ExactKind if kind.startswith(("int", "uint")))


class MySQLRowLoading:
    """Sends values as texts, which the server reads exactly, but whole numbers and bytes with their own types."""

    family = "mysql"

    def settle(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(_SETTINGS)

    def taken_as(self, archived: ExactColumn, target: ExactColumn) -> ExactColumn:
        moment = target.sql_type.lower().startswith(("datetime", "timestamp"))
        # The text of a MySQL value has no offset; the session's zone is UTC.
        return replace(target, kind=ExactKind.TIMESTAMP) if moment and archived.kind in _MOMENTS else target

    def load(
        self, connection: sa.Connection, into: sa.TableClause, columns: Sequence[ExactColumn], lines: Sequence[bytes]
    ) -> None:  # fmt: skip
        quote = connection.dialect.identifier_preparer.format_table(into)
        names = ", ".join(connection.dialect.identifier_preparer.quote_identifier(column.name) for column in columns)
        marks = ", ".join(["%s"] * len(columns))
        row = _row_maker(columns)
        rows = [row(line) for line in lines]
        if rows:
            statement = f"INSERT INTO {quote} ({names}) VALUES ({marks})"
            connection.exec_driver_sql(statement, rows)

    def stage(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> sa.TableClause:
        staged = staged_clause(staged_name(table, columns), columns)
        select = sa.select(*own_columns(table.clause, columns)).limit(0)
        compiled = select.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        name = connection.dialect.identifier_preparer.format_table(staged)
        text = str(compiled).replace("%%", "%")
        create = f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} AS {text}"
        connection.exec_driver_sql(create, execution_options={"no_parameters": True})
        connection.execute(sa.delete(staged))
        return staged

    def lines(
        self, connection: sa.Connection, table: sa.FromClause, columns: Sequence[ExactColumn], *, streamed: bool = False
    ) -> Iterator[bytes]:  # fmt: skip
        pairs = zip(own_columns(table, columns), columns, strict=True)
        spelled = [MySQLExactColumns.spelled(own, column) for own, column in pairs]
        rows = sa.select(*spelled).select_from(table)
        yield from map(line_maker(columns), connection.execute(rows, execution_options={"stream_results": streamed}))

    def merge(
        self, connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
        key: Sequence[str], on_conflict: OnConflict,
    ) -> tuple[int, int]:  # fmt: skip
        return merge(connection, staged, table, columns, key, on_conflict)

    def triggers(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        named = {"schema": table.schema, "name": table.name}
        return list(connection.execute(_TRIGGERS, named).scalars())

    def unchangeable(self, *_: object) -> Sequence[str]:
        return ()

    def type_for(self, column: ExactColumn, family: str, *, in_key: bool) -> str:
        if family == self.family:
            more = " AUTO_INCREMENT" if column.identity and in_key else ""
            more = f" COLLATE {column.collation}" if column.collation else more
            return column.sql_type + more
        if column.kind is ExactKind.DECIMAL and column.precision <= _DIGITS and column.scale <= _PLACES:
            return f"decimal({column.precision},{column.scale})"
        type = _TYPES.get(column.kind, "longtext")
        if type == "longtext":
            return f"{_KEY_TEXT if in_key else type} {_EXACT}"
        return "varbinary(255)" if type == "longblob" and in_key else type

    def equal_texts(
        self, connection: sa.Connection, table: Table, name: str, texts: Sequence[bytes]
    ) -> Sequence[bytes]:  # fmt: skip
        found = connection.execute(_COLLATION, {"schema": table.schema, "name": table.name, "column": name}).first()
        if found is None or not texts:
            return texts  # the types of other columns that refer to each other spell a value in one way
        padded = not any(mark in found.collation for mark in ("nopad", "_0900_"))
        text = sa.func.rtrim(sa.column("t")) if padded else sa.column("t")
        own: sa.ColumnElement[str] = sa.literal_column(found.charset)
        weights = sa.func.hex(
            sa.func.weight_string(sa.collate(sa.func.convert(text.op("USING")(own)), found.collation))
        )
        listed = sa.bindparam("texts", json.dumps([one.decode() for one in texts], ensure_ascii=False), sa.Text)
        rows = sa.select(weights).select_from(sa.text(_LISTED)).order_by(sa.column("n")).params(texts=listed.value)
        return [row[0].encode() for row in connection.execute(rows)]

    def advance_numbers(self, connection: sa.Connection, table: Table, names: Collection[str]) -> None:
        # AUTO_INCREMENT follows the inserted values; a sequence of MariaDB, which a default draws from, does not.
        for column in table.columns:
            if column.name in names and (found := _DRAWS.fullmatch(column.default or "")):
                _advance(connection, found["sequence"], table.clause.c[quoted(column.name)])


def _advance(connection: sa.Connection, sequence: str, numbers: sa.ColumnElement[Any]) -> None:
    """Set the sequence to the furthest of the numbers; SETVAL leaves one alone that is past that."""
    increment = _scalar(connection, f"SELECT increment FROM {sequence}")
    furthest = sa.func.min(numbers) if increment < 0 else sa.func.max(numbers)
    number = connection.execute(sa.select(furthest)).scalar()
    if number is not None:
        _scalar(connection, f"SELECT SETVAL({sequence}, {int(number)})")


def _scalar(connection: sa.Connection, statement: str) -> Any:
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).scalar()


def _row_maker(columns: Sequence[ExactColumn]) -> Callable[[bytes], tuple[Any, ...]]:
    values = [_value(column) for column in columns]

    def row(line: bytes) -> tuple[Any, ...]:
        fields = zip(fields_of(line), values, strict=True)
        return tuple([None if field is None else value(field) for field, value in fields])

    return row


def _value(column: ExactColumn) -> Callable[[bytes], Any]:
    if column.kind in _WHOLE:
        return int
    if column.kind is ExactKind.BYTES:
        return lambda field: bytes.fromhex(field[2:].decode())
    if column.kind is ExactKind.BOOLEAN:
        return lambda field: int(field == b"t")
    return bytes.decode
