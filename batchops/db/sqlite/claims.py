"""Claims in SQLite: there is one writer, who is alone from BEGIN IMMEDIATE on."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.db.sqlite import keys
from batchops.db.table import Column, Table, quoted

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_MOMENTS = ("date", "time")


class SQLiteClaims:
    """UPDATE … RETURNING."""

    types: Mapping[str, str] = {"text": "TEXT", "number": "REAL", "count": "INTEGER NOT NULL DEFAULT 0"}

    since = staticmethod(keys.since)

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:  # noqa: ARG002  the protocol's shape
        version: str = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        if tuple(map(int, version.split("."))) >= (3, 35):
            return None
        return f"SQLite {version} does not know UPDATE … RETURNING; it came with 3.35"

    def now(self) -> sa.ColumnElement[float]:
        return sa.literal_column(_NOW, sa.Double())

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        return select

    def claim(
        self, connection: sa.Connection, table: Table, names: Sequence[str], candidates: sa.Select[Any],
        values: Mapping[str, Any], columns: Sequence[sa.ColumnElement[Any]],
    ) -> Sequence[sa.Row[Any]]:  # fmt: skip
        key = [keys.out(table, name) for name in names]
        chosen = candidates.with_only_columns(*key)
        update = sa.update(table.called).values({quoted(name): value for name, value in values.items()})
        update = update.where(key[0].in_(chosen) if len(key) == 1 else sa.tuple_(*key).in_(chosen))
        labelled = [column.label(f"c{i}") for i, column in enumerate([*key, *columns])]
        return connection.execute(update.returning(*labelled)).all()

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        labelled = [keys.out(table, name).label(f"c{i}") for i, name in enumerate(names)]
        rows = connection.execute(statement.returning(*labelled)).all()
        return [tuple(keys.value(value) for value in row) for row in rows]

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        if column.type and not any(word in column.type.lower() for word in _MOMENTS):
            return None
        return (sa.func.julianday("now") - sa.func.julianday(value)) * sa.literal_column("86400.0", sa.Double())
