"""DELETE as an operation."""

from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.batch import Part


class Delete:
    """Deletes the part's rows that still match."""

    removes = True

    def statement(self, part: Part) -> sa.Delete:
        """With a LIMIT only where the walk has no other bound; the one family that takes such a walk has it."""
        table = part.selection.table
        delete = table.alone(sa.delete(table.called).where(*part.conditions))
        return delete if part.limit is None else delete.with_dialect_options(mysql_limit=part.limit)

    def afterwards(self, part: Part) -> tuple[()]:  # noqa: ARG002
        return ()

    def rehearsal(self, part: Part) -> sa.Select[Any]:
        """The rows to delete."""
        rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(part.selection.table.called)
        return rows.where(*part.conditions)
