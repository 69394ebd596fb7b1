"""MySQL's plans, the rows that they read, and its counters of rows read."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import TableName
from batchops.db.faults import Fault
from batchops.db.mysql.faults import classify
from batchops.db.planner import Work, prefixed
from batchops.db.table import Table


class MySQLPlanner:
    """Uses EXPLAIN and the session's own status."""

    explains_writes = False
    prefix = "EXPLAIN FORMAT=TRADITIONAL"
    """It returns a row for each table with `filtered`, and the rewritten statement as a note. Without FORMAT, the
    session's explain_format would decide (8.0.32)."""

    def shield(self, table: Table) -> str:  # noqa: ARG002  the server decides well by itself
        return ""

    def rows(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[sa.RowMapping]:
        """Return a row for each table of the plan."""
        try:
            return prefixed(connection, statement, self.prefix).mappings().all()
        except DBAPIError as error:
            if classify(error) is not Fault.READ_ONLY or not isinstance(statement, sa.Select):
                raise
        # A selected value draws from a sequence, or its function writes. The plan of the rows alone is the same.
        rows: sa.Select[Any] = statement.with_only_columns(sa.literal_column("1"))
        return prefixed(connection, rows, self.prefix).mappings().all()

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        row = next(iter(self.rows(connection, select)), None)
        if row is None or row["rows"] is None:
            return None
        return round(float(row["rows"]) * float(row["filtered"] or 100) / 100)

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        rows = self.rows(connection, statement)
        return [", ".join(f"{k}={v}" for k, v in row.items() if v is not None) for row in rows]

    def work(
        self, connection: sa.Connection, table: Table, parts: Sequence[Table], select: sa.Select[Any]  # noqa: ARG002
    ) -> Work | None:  # fmt: skip
        """Return the work by the rows that the plan reads of each table; a sub-select is read once, or for each row."""
        read, others, rows, found, guessed = 0.0, 0.0, 1.0, False, False
        for row in self.rows(connection, select):
            if row["rows"] is None:
                continue
            here = float(row["rows"])
            if row["select_type"] in ("PRIMARY", "SIMPLE"):
                read += rows * here
                share = float(row["filtered"] or 100) / 100
                rows, found, guessed = rows * here * share, True, guessed or row["type"] == "ALL"
            elif row["select_type"].startswith("DEPENDENT"):
                others += here * rows
            else:
                read += here
                others += rows if row["select_type"] == "MATERIALIZED" else 0.0  # each row is looked up in it
        return Work(read + others, round(rows), guessed=guessed, others=others) if found else None

    def finds_by_key(
        self, connection: sa.Connection, table: Table, names: Sequence[str], select: sa.Select[Any]
    ) -> bool:  # fmt: skip
        if not any(key.primary and key.columns == tuple(names) for key in table.keys):
            return False
        first = next(iter(self.rows(connection, select)))
        own = first["table"] == (table.alias or table.name)
        return own and first["key"] == "PRIMARY" and first["type"] in ("const", "ref", "range")

    def meter(
        self, connection: sa.Connection, table: Table, others: Collection[TableName]  # noqa: ARG002  not told apart
    ) -> Callable[[], int] | None:  # fmt: skip
        before = _rows_read(connection)
        return lambda: _rows_read(connection) - before


def _rows_read(connection: sa.Connection) -> int:
    return sum(int(row[1]) for row in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'"))
