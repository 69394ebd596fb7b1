"""How an outbox stands: what is unsent, for how long, and what holds it up."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.outboxes.failures import Failures
from batchops.outboxes.outbox import Outbox
from batchops.queues.leases import Counts


@dataclass(frozen=True)
class Standing:
    """Counts an outbox."""

    outbox: Outbox
    failures: Failures

    def counts(self, connection: sa.Connection) -> Counts:
        """Events that may be sent, and `waiting`: those that a refused event of their aggregate holds up."""
        free, oldest = self._count(connection, self.failures.sendable())
        held = 0
        if self.failures.some:
            held = self._count(connection, self.failures.alive())[0] - free
        return Counts(
            backlog=free, waiting=held, oldest=oldest, next_due=self.failures.next_due(connection) if held else None
        )

    def _count(self, connection: sa.Connection, where: list[sa.ColumnElement[bool]]) -> tuple[int, float | None]:
        outbox, created = self.outbox, self.outbox.names.created_at
        age: sa.ColumnElement[Any] | None = None
        if created is not None:
            oldest = sa.func.min(outbox.column(created))
            age = outbox.family.claims.age(outbox.table.column(created), oldest)
        query: sa.Select[Any] = sa.select(sa.func.count(), sa.null() if age is None else age)
        row = connection.execute(query.select_from(outbox.table.called).where(outbox.unsent, *where)).one()
        return int(row[0]), None if row[1] is None else max(0.0, float(row[1]))
