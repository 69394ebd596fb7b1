"""Drops partitions that a purge covers whole, instead of emptying them, if the user asks for it."""

from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.plan.constant_expressions import worked_out
from batchops.bulk.plan.pinned import Pinned
from batchops.db.database import Database
from batchops.db.partitions import Detached
from batchops.db.table import Table
from batchops.errors import IntegrityError
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run
from batchops.sql.selection import Selection, user_sql


def covered(connection: sa.Connection, database: Database, table: Table, pinned: Pinned) -> list[Table]:
    """Return the pinned leaves that the condition covers whole, as the server's planner says."""
    if database.backend.partitions is None or pinned.condition is None:
        return []
    found = database.backend.catalog.find_all(connection, pinned.leaves)
    leaves = [replace(leaf, alias=table.name) for leaf in found]
    condition = worked_out(connection, database, table, pinned.condition)
    return database.backend.partitions.covered(connection, leaves, user_sql(f"NOT ({condition})"))


class Dropping:
    """Detaches a partition, counts its rows again and drops it, in two transactions that lock the parent only briefly.

    A detached partition is in the run's row until it is dropped or attached again. After a crash, the process that
    continues the run completes that first.
    """

    def __init__(self, database: Database, ledger: Ledger, run: Run, table: Table, condition: str | None) -> None:
        assert database.backend.partitions is not None  # only where partitions were found covered
        self._partitions = database.backend.partitions
        self._database = database
        self._ledger = ledger
        self._run = run
        self._table = table
        self._condition = condition
        self._dropped_rows = int(run.pinned.get("dropped_rows", 0))

    def finish_earlier(self) -> int:
        """Complete the drop that an earlier process of this run began; return the number of deleted rows."""
        under_way = self._run.pinned.get("detached")
        return self._end(Detached(**under_way)) if under_way else 0

    def drop(self, leaf: Table) -> int:
        """Drop the partition; return how many rows it had. If some do not match, attach it again and return 0."""
        with self._database.transaction() as connection:
            detached = self._partitions.detach(connection, leaf)
            if detached is not None:
                self._remember(connection, asdict(detached))
        return self._end(detached) if detached else 0

    def _end(self, detached: Detached) -> int:
        with self._database.transaction() as connection:
            leaf = self._database.backend.catalog.find(connection, detached.schema, detached.name)
            if leaf is None:
                raise IntegrityError(
                    f'The detached partition "{detached.name}" no longer exists.', "find out who dropped it."
                )
            self._partitions.hold(connection, detached)
            rows, failing = self._count(connection, replace(leaf, alias=self._table.name))
            if failing:
                self._partitions.attach(connection, detached)
            else:
                self._partitions.drop(connection, detached)
            gone = 0 if failing else rows
            self._remember(connection, None, gone)
        return gone

    def _count(self, connection: sa.Connection, leaf: Table) -> tuple[int, int]:
        """Count all rows, and the rows for which the condition is false or NULL."""
        every: sa.Select[Any] = sa.select(sa.func.count()).select_from(leaf.called)
        rows = int(connection.execute(every).scalar_one())
        matching = every.where(Selection(leaf, self._condition).clause)
        return rows, rows - int(connection.execute(matching).scalar_one())

    def _remember(self, connection: sa.Connection, detached: dict[str, Any] | None, gone: int = 0) -> None:
        self._dropped_rows += gone
        kept = self._run.pinned | {"detached": detached, "dropped_rows": self._dropped_rows}
        self._ledger.save_pinned(connection, self._run.run, kept)
