"""Claims in PostgreSQL: one statement that locks, leases and returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.db.postgresql import keys
from batchops.db.postgresql.keys import Named
from batchops.db.table import Column, Table, quoted


class PostgreSQLClaims:
    """FOR UPDATE SKIP LOCKED, RETURNING."""

    types: Mapping[str, str] = {
        "text": "text", "number": "double precision", "count": "integer NOT NULL DEFAULT 0",
    }  # fmt: skip

    since = staticmethod(keys.since)

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:  # noqa: ARG002  every version can
        return None

    def now(self) -> sa.ColumnElement[float]:
        return sa.func.date_part("epoch", sa.func.now(), type_=sa.Double())

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        return select.with_for_update(skip_locked=True)

    def claim(
        self, connection: sa.Connection, table: Table, names: Sequence[str], candidates: sa.Select[Any],
        values: Mapping[str, Any], columns: Sequence[sa.ColumnElement[Any]],
    ) -> Sequence[sa.Row[Any]]:  # fmt: skip
        key = [keys.order(table, name) for name in names]
        labelled = candidates.with_only_columns(*(column.label(f"k{i}") for i, column in enumerate(key)))
        # As a plain sub-select with LIMIT it could be evaluated again in a nested loop, and lock more than asked for.
        free = self.free(labelled).cte("free").prefix_with("MATERIALIZED")
        same = (column == free.c[f"k{i}"] for i, column in enumerate(key))
        update = sa.update(table.called).values({quoted(name): value for name, value in values.items()})
        update = update.where(*same).returning(*(keys.out(table, name) for name in names), *columns)
        return connection.execute(table.alone(update)).all()

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        changed = statement.returning(*(keys.out(table, name) for name in names))
        return [tuple(row) for row in connection.execute(changed)]

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        if not column.type.startswith("timestamp"):
            return None
        now = sa.cast(sa.func.now(), Named(column.type))
        return sa.func.date_part("epoch", now - value, type_=sa.Double())
