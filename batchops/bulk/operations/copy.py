"""The operation that only reads rows: they are copied elsewhere, and stay."""

from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.strategy import Batch
from batchops.db.table import quoted


class Copy:
    """Reads the batch's rows that still match."""

    removes = False

    def statement(self, batch: Batch) -> sa.Select[Any]:
        """Return a SELECT of all columns; the target may take only some of them."""
        table = batch.selection.table
        return table.alone(sa.select(*self.afterwards(batch)).select_from(table.called).where(*batch.conditions))

    def afterwards(self, batch: Batch) -> list[sa.ColumnElement[Any]]:
        table = batch.selection.table
        return [table.called.c[quoted(name)] for name in table.column_names]

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """Return the statement itself, as it writes nothing."""
        return self.statement(batch)
