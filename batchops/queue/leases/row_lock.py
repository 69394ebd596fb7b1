"""Claims without leases: only the row locks of one short transaction hold the rows."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.byte_limit import MOST_BYTES
from batchops.db.claims import Marked
from batchops.db.types import KeyValue
from batchops.queue.queue import Queue, Row
from batchops.queue.rows import Rows, Savepoint, age, how_many, number
from batchops.runtime.counters import Counts


class RowLocks:
    """Holds rows by the locks of the transaction that claimed them, until it ends."""

    place = "none: the row locks of one short batch"
    written = ()

    def __init__(
        self, backend: Backend, queue: Queue, *, whole: bool = True, moment: str | None = None,
        max_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        self._backend = backend
        self._queue = queue
        self._moment = moment
        self._rows = Rows(backend, queue, queue.table.column_names if whole else [], max_bytes)
        self._done = self._rows.marking(lambda _: queue.marked_done())
        self.read = self._rows.read_columns

    def claim(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, but: Sequence[KeyValue]
    ) -> Sequence[Row]:
        """Lock and return up to that many free rows, without those with the keys `but`."""
        without = [sa.not_(mine) for mine in self._rows.among(but)]
        fitting = self._rows.fitting(connection, rows, low, without)
        query = self._rows.candidates(fitting, low, without, self._rows.read(sa.literal_column("1")))
        labelled = query.with_only_columns(*(c.label(f"c{i}") for i, c in enumerate(query.inner_columns)))
        return self._rows.rows(connection.execute(self._backend.claims.free(labelled)).all())

    def ack(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> Marked:
        """Mark or delete the rows as done."""
        return self._done(connection, keys, "")()

    def takes_marks(self, connection: sa.Connection, but: KeyValue, savepoint: Savepoint) -> bool | None:
        """Whether a pending row other than `but` can be marked done; None: there is none. The caller rolls back."""
        return self._rows.takes_marks(connection, but, savepoint)

    def still_pending(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> bool:
        """Whether any of these rows is pending."""
        return self._rows.still_pending(connection, keys)

    def vetoed(self, connection: sa.Connection, token: str, keys: Sequence[KeyValue]) -> bool:  # noqa: ARG002  locks have no token
        """Whether any of these locked rows is pending, which a mark did not change."""
        return self._rows.still_pending(connection, keys)

    def first(self, connection: sa.Connection, low: KeyValue | None) -> KeyValue | None:
        """Return the key of the first pending row; None if there is none."""
        return self._rows.first(connection, low)

    def next_due(self, connection: sa.Connection) -> float | None:  # noqa: ARG002  the protocol's shape
        """Return None: without leases no row waits."""
        return None

    def counts(self, connection: sa.Connection) -> Counts:
        """Count pending rows. Without leases no row waits, and locked rows cannot be told apart."""
        columns: list[sa.ColumnElement[Any]] = [
            how_many(sa.true()), age(self._backend, self._queue, self._moment, sa.true()),
        ]  # fmt: skip
        query = sa.select(*(column.label(f"n{i}") for i, column in enumerate(columns)))
        row = connection.execute(query.select_from(self._queue.table.called).where(self._queue.selection.clause)).one()
        return Counts(int(row[0]), oldest=number(row[1]))
