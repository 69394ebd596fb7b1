"""The operation that updates rows."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.operations import Stored
from batchops.bulk.strategies.row_list import ListedRows
from batchops.bulk.strategies.strategy import Batch
from batchops.db.table import quoted
from batchops.sql.expression import is_default
from batchops.sql.selection import user_sql


class Update:
    """Sets columns of the batch's rows that still match, in the order given: MySQL evaluates left to right."""

    removes = False

    def __init__(self, assignments: Sequence[tuple[str, str]], stored: Stored) -> None:
        self._assignments = assignments
        self._stored = stored

    def statement(self, batch: Batch) -> sa.Update:
        """Return the UPDATE with the values as they were pinned."""
        own = batch.selection.table
        table = own.called
        values = [(table.c[quoted(name)], self._value(batch, name, sql)) for name, sql in self._assignments]
        return own.alone(sa.update(table).where(*batch.conditions).ordered_values(*values))

    def afterwards(self, batch: Batch) -> list[sa.ColumnElement[Any]]:
        """Return what a row becomes. A column that is set to its default is shown unchanged."""
        own, new = batch.selection.table, {name: sql for name, sql in self._assignments if not is_default(sql)}
        return [
            self._plain(batch, name, new[name]).label(quoted(name)) if name in new else own.called.c[quoted(name)]
            for name in own.column_names
        ]

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """Return a SELECT of the values to set."""
        values = [self._value(batch, name, sql) for name, sql in self._assignments if not is_default(sql)]
        rows: sa.Select[Any] = sa.select(*(values or [sa.text("1")])).select_from(batch.selection.table.called)
        return rows.where(*batch.conditions)

    def _kept(self, batch: Batch, name: str) -> sa.ColumnElement[Any]:
        rows = batch.selection
        assert isinstance(rows, ListedRows)  # nothing else has values stored
        return rows.kept(self._stored[name])

    def _plain(self, batch: Batch, name: str, expression: str) -> sa.ColumnElement[Any]:
        if name in self._stored:
            return self._kept(batch, name)
        return sa.literal_column(f"({expression})")

    def _value(self, batch: Batch, name: str, expression: str) -> sa.ColumnElement[Any] | sa.TextClause:
        if name in self._stored:
            return self._kept(batch, name)
        return user_sql(expression if is_default(expression) else f"({expression})")
