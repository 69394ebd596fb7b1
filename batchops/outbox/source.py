"""Reads unsent events in the order in which they were written, and none too early."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.low_water import OutboxLowWaterMark
from batchops.outbox.mapping import EventBatch, MessageMapper
from batchops.outbox.number_runs import runs
from batchops.outbox.outbox import Outbox
from batchops.outbox.shards import Shards


class EventSource:
    """The unsent events of this relay's shards that neither wait nor are held."""

    def __init__(
        self, database: Database, outbox: Outbox, mapper: MessageMapper, shards: Shards, failures: RefusedEvents,
        low: OutboxLowWaterMark, *, thorough: bool, max_bytes: int,
    ) -> None:  # fmt: skip
        """`thorough`: before it returns nothing, it reads from the start too, without the low-water mark."""
        self._limit = mapper.limit(max_bytes)
        self._database = database
        self._outbox = outbox
        self._mapper = mapper
        self._shards = shards
        self._failures = failures
        self._low = low
        self._thorough = thorough

    def read(self, rows: int) -> EventBatch:
        """Return the first events, at most that many; empty if there are none."""
        mark = self._low.mark()
        with self._database.reading() as connection:
            if self._low.full:
                self._failures.load(connection)
            found = self._first_rows(connection, rows, self._since(mark))
            if not found and mark is not None and self._thorough:
                self._low.forget()
                self._failures.load(connection)
                found = self._first_rows(connection, rows, [])
        self._low.look()
        return self._batch(found, None)

    def read_on(self, rows: int, away: Sequence[Any], last: KeyValue) -> EventBatch:
        """Return the next events. Those up to `last` with an id in `away` are with the destination, and left out.

        This reads the events after `last` first, and then those up to `last` that were committed meanwhile. So it sees
        every event that was committed before one that it read.
        """
        outbox = self._outbox
        with self._database.reading() as connection:
            found = self._first_rows(connection, rows, [outbox.after(last)])
            most = len(away) + rows
            between = [outbox.upto(last), *self._since(self._low.mark()), *self._outside_runs(away, last)]
            ids = self._query(most, between).with_only_columns(outbox.id_out)
            there = [row[0] for row in _rows(connection, ids)]
            if len(there) == most:
                found = []  # so many are new that more of them may come before those after `last`
            known = set(away)
            late = [id_ for id_ in there if id_ not in known]
            before: list[Sequence[Any]] = []
            for mine in outbox.among(late):
                before += self._first_rows(connection, len(late), [mine])
            if len(before) < len(late):
                found = []  # these would come before all late ones are read
        return self._batch(found, last, before)

    def _outside_runs(self, ids: Sequence[Any], last: KeyValue) -> list[sa.ColumnElement[bool]]:
        """Return a condition that leaves out the runs of these ids but for their first: no other event is in a run."""
        outbox = self._outbox
        found = runs(ids) if outbox.order.numbered else []
        if not found:
            return []
        key = type(ids[0])
        # With the first id of each run: the number before it may be none that the column can hold.
        gaps = [outbox.upto((key(found[0][0]),))]
        for (_, end), (first, _) in pairwise(found):
            gaps.append(outbox.after((key(end),)) & outbox.upto((key(first),)))
        if found[-1][1] < int(last[0]):
            gaps.append(outbox.after((key(found[-1][1]),)))
        return [sa.or_(*gaps)]

    def _batch(
        self, found: Sequence[Sequence[Any]], last: KeyValue | None, before: Sequence[Sequence[Any]] = ()
    ) -> EventBatch:  # fmt: skip
        """Return the events before `last` and after it as one batch."""
        batch = self._mapper([*before, *found])
        return replace(batch, front=batch.last if found else last)

    def look_at_everything(self) -> None:
        """Read from the start next: this relay got the events of further shards, refused ones too."""
        self._low.forget()

    def elsewhere(self) -> bool:
        """Whether shards of other relays have unsent events that are not dead letters."""
        outbox, shards = self._outbox, self._shards
        if shards.whole:
            return False
        theirs = shard_of(outbox, shards.count).not_in(shards.mine)
        query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(outbox.table.called)
        query = query.where(outbox.unsent, *self._failures.alive(), theirs).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def _first_rows(
        self, connection: sa.Connection, rows: int, where: Sequence[sa.ColumnElement[bool]]
    ) -> Sequence[Sequence[Any]]:  # fmt: skip
        """Return the first rows, at most that many, and no more than the limit in bytes allows."""

        def bytes_of(most: int) -> sa.Select[Any]:
            return self._query(most, where).with_only_columns(self._limit.of_row.label("bytes"))

        def sizes(most: int) -> Sequence[int]:
            return [row[0] for row in _rows(connection, bytes_of(most))]

        def total(most: int) -> int:
            return int(connection.scalar(sa.select(sa.func.sum(bytes_of(most).subquery().c.bytes))) or 0)

        return _rows(connection, self._query(self._limit.rows(rows, sizes, total), where))

    def _query(self, rows: int, where: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
        return unsent_events(self._outbox, self._mapper, self._failures, rows, [*where, *self._of_my_shards()])

    def _since(self, mark: KeyValue | None) -> list[sa.ColumnElement[bool]]:
        return [] if mark is None else [self._outbox.since(mark)]

    def _of_my_shards(self) -> list[sa.ColumnElement[bool]]:
        if self._shards.whole:
            return []
        return [shard_of(self._outbox, self._shards.count).in_(self._shards.mine)]


def unsent_events(
    outbox: Outbox, mapper: MessageMapper, failures: RefusedEvents, rows: int, where: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:  # fmt: skip
    """Return the statement that reads the first unsent events that may be sent now, at most that many."""
    query: sa.Select[Any] = sa.select(*mapper.columns).select_from(outbox.table.called)
    return query.where(outbox.unsent, *where, *failures.sendable()).order_by(*outbox.ordering).limit(rows)


def shard_of(outbox: Outbox, shards: int) -> sa.ColumnElement[int]:
    """Return the number of an event's shard."""
    return outbox.backend.events.hashed(outbox.aggregate) % shards


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
    """Return the rows of the driver itself: SQLAlchemy's Row for each event would take as long as all the rest."""
    found: Sequence[Sequence[Any]] = connection.execute(query).cursor.fetchall()
    return found
