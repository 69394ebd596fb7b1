"""UPDATE as an operation."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.strategy import Batch
from batchops.db.table import quoted
from batchops.sql.expression import is_default
from batchops.sql.selection import user_sql


class Update:
    """Sets columns of the batch's rows that still match, in the order given: MySQL evaluates left to right."""

    removes = False

    def __init__(self, assignments: Sequence[tuple[str, str]]) -> None:
        self._assignments = assignments

    def statement(self, batch: Batch) -> sa.Update:
        """The values as they were pinned."""
        own = batch.selection.table
        table = own.called
        values = [(table.c[quoted(name)], _value(expression)) for name, expression in self._assignments]
        return own.alone(sa.update(table).where(*batch.conditions).ordered_values(*values))

    def afterwards(self, batch: Batch) -> list[sa.ColumnElement[Any]]:
        """What becomes a default stands as it is."""
        own, new = batch.selection.table, {name: sql for name, sql in self._assignments if not is_default(sql)}
        return [
            sa.literal_column(f"({new[name]})").label(quoted(name)) if name in new else own.called.c[quoted(name)]
            for name in own.column_names
        ]

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """The values to set."""
        values = [_value(expression) for _, expression in self._assignments if not is_default(expression)]
        rows: sa.Select[Any] = sa.select(*(values or [sa.text("1")])).select_from(batch.selection.table.called)
        return rows.where(*batch.conditions)


def _value(expression: str) -> sa.TextClause:
    return user_sql(expression if is_default(expression) else f"({expression})")
