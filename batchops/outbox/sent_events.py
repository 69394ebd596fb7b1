"""Reads events that were sent before, in the order in which they were written."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.outbox.mapping import NOTHING, EventBatch, MessageMapper
from batchops.outbox.outbox import Outbox


class SentEvents:
    """The sent events for which `where` holds, up to the last one at the start of the replay."""

    def __init__(
        self, database: Database, outbox: Outbox, mapper: MessageMapper, where: Sequence[sa.ColumnElement[bool]],
        max_bytes: int,
    ) -> None:  # fmt: skip
        self._limit = mapper.limit(max_bytes)
        self._database = database
        self._outbox = outbox
        self._mapper = mapper
        self._where = [outbox.sent.sent if outbox.sent else sa.false(), *where]
        self._last: KeyValue | None = None

    def count(self) -> int:
        """Return the number of events, and leave out later ones from now on."""
        outbox = self._outbox
        query: sa.Select[Any] = sa.select(sa.func.count()).select_from(outbox.table.called).where(*self._where)
        last = sa.select(*outbox.place_out).select_from(outbox.table.called).where(*self._where)
        backwards = [column.desc() for column in outbox.ordering]
        with self._database.reading() as connection:
            row = connection.execute(last.order_by(*backwards).limit(1)).first()
            number: int = connection.execute(query).scalar_one()
        self._last = None if row is None else tuple(row)
        return number

    def reading(self, rows: int) -> sa.Select[Any]:
        """Return the statement that reads the first events, at most that many."""
        outbox = self._outbox
        query: sa.Select[Any] = sa.select(*self._mapper.columns).select_from(outbox.table.called)
        return query.where(*self._where).order_by(*outbox.ordering).limit(rows)

    def read(self, rows: int, after: KeyValue | None) -> EventBatch:
        """Return the first events after a place, at most that many."""
        outbox = self._outbox
        if self._last is None:
            return NOTHING
        query = self.reading(rows).where(outbox.upto(self._last))
        if after is not None:
            query = query.where(outbox.after(after))
        sized = query.with_only_columns(self._limit.of_row.label("bytes"))
        with self._database.reading() as connection:
            fits = self._limit.rows(rows, lambda most: connection.execute(sized.limit(most)).scalars().all())
            return self._mapper(connection.execute(query.limit(fits)).all())
