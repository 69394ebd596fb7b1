"""The operation that deletes rows."""

from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.strategy import Batch
from batchops.db.table import limited


class Delete:
    """Deletes the batch's rows that still match."""

    removes = True

    def statement(self, batch: Batch) -> sa.Delete:
        """Return the DELETE, with a LIMIT only if the strategy has no other bound: only some databases have it."""
        table = batch.selection.table
        delete = table.alone(sa.delete(table.called).where(*batch.conditions))
        return delete if batch.limit is None else limited(delete, batch.limit)

    def afterwards(self, batch: Batch) -> tuple[()]:  # noqa: ARG002
        return ()

    def rehearsal(self, batch: Batch) -> sa.Select[Any]:
        """Return a SELECT of the rows to delete."""
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(batch.selection.table.called)
        return rows.where(*batch.conditions)
