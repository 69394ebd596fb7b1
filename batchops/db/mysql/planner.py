"""MySQL's plans, the index that one would use, and its counters."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.planner import IndexUse, explained
from batchops.db.table import Table

_COLUMNS = sa.text("""
SELECT column_name FROM information_schema.statistics
WHERE table_schema = coalesce(:schema, database()) AND table_name = :table AND index_name = :index
  AND index_type = 'BTREE' ORDER BY seq_in_index
""")


class MySQLPlanner:
    """By EXPLAIN and the session's own status."""

    explains_writes = False
    shield = ""
    indexes_hold_key = True
    prefix = "EXPLAIN FORMAT=TRADITIONAL"
    """A row for each table with `filtered`, and the rewritten statement as a note. Without FORMAT, a session's
    explain_format decides (8.0.32)."""

    def rows(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[sa.RowMapping]:
        """A row for each table of the plan."""
        return explained(connection, statement, self.prefix).mappings().all()

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        row = next(iter(self.rows(connection, select)), None)
        if row is None or row["rows"] is None:
            return None
        return round(float(row["rows"]) * float(row["filtered"] or 100) / 100)

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        rows = self.rows(connection, statement)
        return [", ".join(f"{k}={v}" for k, v in row.items() if v is not None) for row in rows]

    def index_for(self, connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
        """The one index by a range or a value of which the optimiser would find all rows of `select`.

        Every InnoDB index ends with the primary key, so rows with one value have an order to be followed by.
        """
        rows = self.rows(connection, select)
        if len(rows) != 1 or rows[0]["type"] not in ("range", "ref") or rows[0]["key"] is None:
            return None
        name = rows[0]["key"]
        asked = {"schema": table.schema, "table": table.name, "index": name}
        columns = list(connection.execute(_COLUMNS, asked).scalars())
        estimate = round(float(rows[0]["rows"]) * float(rows[0]["filtered"] or 100) / 100)
        return IndexUse(name, tuple(columns), estimate, 0.0) if columns and columns[0] else None

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        before = _rows_read(connection)
        return lambda: _rows_read(connection) - before


def _rows_read(connection: sa.Connection) -> int:
    return sum(int(row[1]) for row in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'"))
