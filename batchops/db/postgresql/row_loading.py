"""Loads rows into PostgreSQL by COPY FROM STDIN, in its own text format."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import REGCLASS

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import line_of
from batchops.db.postgresql.exact_columns import SETTINGS, PostgreSQLExactColumns
from batchops.db.postgresql.own_numbers import InsertWithNumbers
from batchops.db.row_loading import OnConflict, merge, own_columns, staged_clause, staged_name
from batchops.db.table import Table, quoted

_PART = 1 << 20
_NUMBERED = (ExactKind.INT16, ExactKind.INT32, ExactKind.INT64)
_TRIGGERS = sa.text("""
SELECT tgname FROM pg_catalog.pg_trigger
WHERE tgrelid = CAST(:oid AS oid) AND NOT tgisinternal AND tgtype::int & 4 = 4 AND tgenabled <> 'D' ORDER BY 1
""")
# A sequence belongs to a column (identity, serial), or the column's default draws from it.
_SEQUENCES = sa.text("""
SELECT DISTINCT a.attname::text AS "column", s.seqincrement > 0 AS ascends,
       c.oid, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef p ON p.adrelid = a.attrelid AND p.adnum = a.attnum
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND (
    d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
    OR d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = p.oid
)
JOIN pg_catalog.pg_class c
  ON c.oid = CASE d.classid WHEN 'pg_catalog.pg_class'::regclass THEN d.objid ELSE d.refobjid END
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attrelid = CAST(:oid AS oid)
AND (a.attidentity <> '' OR pg_catalog.starts_with(pg_catalog.pg_get_expr(p.adbin, p.adrelid), 'nextval('))
ORDER BY c.oid
""")
_ALWAYS = sa.text("""
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = CAST(:oid AS oid) AND attidentity = 'a' AND NOT attisdropped ORDER BY attnum
""")
_LOOSE = sa.text("""
SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = CAST(:oid AS oid) AND a.attname = :name AND NOT c.collisdeterministic
""")
_TYPES = {
    ExactKind.INT8: "smallint", ExactKind.INT16: "smallint", ExactKind.INT32: "integer", ExactKind.INT64: "bigint",
    ExactKind.UINT8: "smallint", ExactKind.UINT16: "integer", ExactKind.UINT32: "bigint",
    ExactKind.UINT64: "numeric(20,0)", ExactKind.FLOAT: "real", ExactKind.DOUBLE: "double precision",
    ExactKind.BOOLEAN: "boolean", ExactKind.DATE: "date", ExactKind.TIMESTAMP: "timestamp without time zone",
    ExactKind.INSTANT: "timestamp with time zone", ExactKind.UUID: "uuid", ExactKind.BYTES: "bytea",
    ExactKind.TEXT: "text", ExactKind.TAGGED: "",
}  # fmt: skip


class PostgreSQLRowLoading:
    """Loads rows as they are: PostgreSQL reads the canonical lines of its own rows back."""

    family = "postgresql"

    def settle(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(SETTINGS)

    def taken_as(self, archived: ExactColumn, target: ExactColumn) -> ExactColumn:  # noqa: ARG002  the target's text
        return target

    def load(
        self, connection: sa.Connection, into: sa.TableClause, columns: Sequence[ExactColumn], lines: Sequence[bytes]
    ) -> None:  # fmt: skip
        names = ", ".join(_quoted(connection, column.name) for column in columns)
        driver: Any = connection.connection.driver_connection
        statement = _with_single_percents(f"COPY {_named(connection, into)} ({names}) FROM STDIN")
        data = memoryview(b"\n".join(lines) + b"\n")
        try:
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                for start in range(0, len(data), _PART):
                    copy.write(data[start : start + _PART])
        except psycopg.Error as error:  # SQLAlchemy, which would wrap it, was not involved
            raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error

    def stage(self, connection: sa.Connection, table: Table, columns: Sequence[ExactColumn]) -> sa.TableClause:
        staged = staged_clause(staged_name(table, columns), columns, "pg_temp")
        select = sa.select(*own_columns(table.clause, columns)).compile(dialect=connection.dialect)
        name = _quoted(connection, staged.name)
        connection.exec_driver_sql(
            f"CREATE TEMP TABLE IF NOT EXISTS {name} ON COMMIT DELETE ROWS AS {select} WITH NO DATA"
        )
        connection.execute(sa.delete(staged))
        return staged

    def lines(
        self, connection: sa.Connection, table: sa.FromClause, columns: Sequence[ExactColumn], *, streamed: bool = False
    ) -> Iterator[bytes]:  # fmt: skip
        spelled = PostgreSQLExactColumns.spelled
        rows = sa.select(*map(spelled, own_columns(table, columns))).select_from(table)
        for row in connection.execute(rows, execution_options={"stream_results": streamed}):
            yield line_of([None if value is None else value.encode() for value in row])

    def merge(
        self, connection: sa.Connection, staged: sa.TableClause, table: Table, columns: Sequence[ExactColumn],
        key: Sequence[str], on_conflict: OnConflict,
    ) -> tuple[int, int]:  # fmt: skip
        return merge(connection, staged, table, columns, key, on_conflict, InsertWithNumbers)

    def triggers(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        return list(connection.execute(_TRIGGERS, {"oid": table.identity}).scalars())

    def unchangeable(self, connection: sa.Connection, table: Table) -> Sequence[str]:
        return list(connection.execute(_ALWAYS, {"oid": table.identity}).scalars())

    def type_for(self, column: ExactColumn, family: str, *, in_key: bool) -> str:  # noqa: ARG002  any type may be one
        if family == self.family:
            if column.identity and column.kind in _NUMBERED:
                return f"{column.sql_type} GENERATED BY DEFAULT AS IDENTITY"
            other = column.collation not in (None, "default") and column.kind is ExactKind.TEXT
            return f'{column.sql_type} COLLATE "{column.collation}"' if other else column.sql_type
        if column.kind is ExactKind.DECIMAL:
            return f"numeric({column.precision},{column.scale})"
        return _TYPES[column.kind]

    def equal_texts(
        self, connection: sa.Connection, table: Table, name: str, texts: Sequence[bytes]
    ) -> Sequence[bytes]:  # fmt: skip
        kind = table.column(name).stored.partition("(")[0]
        if kind == "character":
            return [text.rstrip(b" ") for text in texts]
        if kind in ("real", "double precision"):
            return [b"0" if text == b"-0" else text for text in texts]
        how = "lower(t)" if kind.endswith("citext") else "trim_scale(t::numeric)::text" if kind == "numeric" else None
        if how is None and connection.execute(_LOOSE, {"oid": table.identity, "name": name}).first() is not None:
            return [*map(_folded, texts)]  # the server has no text that tells what its collation holds for equal
        if how is None:
            return texts
        listed = sa.bindparam("texts", [text.decode() for text in texts], sa.ARRAY(sa.Text))
        rows = sa.text(f"SELECT {how} FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS u(t, n) ORDER BY n")
        return [text.encode() for text in connection.execute(rows.bindparams(listed)).scalars()]

    def advance_numbers(self, connection: sa.Connection, table: Table, names: Collection[str]) -> None:
        for sequence in connection.execute(_SEQUENCES, {"oid": table.identity}).all():
            if sequence.column in names:
                _advance(connection, sequence, table.clause.c[quoted(sequence.column)])


def _folded(text: bytes) -> bytes:
    """Return the text without case, accents and blanks at its end, which most collations that are not exact ignore."""
    spelled = unicodedata.normalize("NFKD", text.decode().casefold())
    return "".join(one for one in spelled if not unicodedata.combining(one)).rstrip().encode()


def _advance(connection: sa.Connection, sequence: sa.Row[Any], numbers: sa.ColumnElement[Any]) -> None:
    """Set the sequence to the furthest of the numbers, unless it is past that.

    One statement compares and sets, as other sessions draw numbers meanwhile. A sequence that is not called yet gives
    its last_value itself.
    """
    most = sa.func.max(numbers) if sequence.ascends else sa.func.min(numbers)
    furthest = connection.execute(sa.select(most)).scalar()
    if furthest is None:
        return
    state = sa.table(
        quoted(sequence.name), sa.column("last_value"), sa.column("is_called"), schema=quoted(sequence.schema)
    )
    last, number = state.c.last_value, sa.literal(furthest, sa.BigInteger())
    short = last < number if sequence.ascends else last > number
    due = sa.or_(short, sa.and_(last == number, sa.not_(state.c.is_called)))
    connection.execute(sa.select(sa.func.setval(sa.cast(sequence.oid, REGCLASS), number)).select_from(state).where(due))


def _with_single_percents(text: str) -> str:
    """Return text for use without SQLAlchemy, which has doubled the percent signs in it for the driver."""
    return text.replace("%%", "%")


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _named(connection: sa.Connection, table: sa.TableClause) -> str:
    schema = f"{_quoted(connection, table.schema)}." if table.schema is not None else ""
    return f"{schema}{_quoted(connection, table.name)}"
