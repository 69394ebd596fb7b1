"""Drops partitions that a job covers whole, instead of deleting their rows, if the user asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa

from batchops.bulk.partition_parts import parts
from batchops.bulk.plan.constant_expressions import worked_out
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.rows_out import WholeRows
from batchops.db.database import Database
from batchops.db.partitions import Detached
from batchops.db.table import Table
from batchops.errors import BatchopsError, IntegrityError, LockedError, RowRefusedError, TransientError
from batchops.ledger.ledger import Ledger, taken_over
from batchops.ledger.run import DETACHED, DROPPED, DROPPED_ROWS, Run
from batchops.runtime import lease
from batchops.runtime.lease import Lease
from batchops.runtime.retry import retrying
from batchops.runtime.stop import Stop
from batchops.sql.selection import Selection, user_sql

T = TypeVar("T")
MOST_COPIES = 3
"""How often a detached partition is copied, if others write to it, before it is attached again."""
ATTACH_SECONDS = 5.0
"""Seconds for which attaching a partition again is retried, once the run is asked to stop."""


def covered(connection: sa.Connection, database: Database, table: Table, pinned: Pinned) -> list[Table]:
    """Return the pinned leaves with bounds that the condition covers whole, as the server's planner says."""
    partitions = database.backend.partitions
    if partitions is None or pinned.condition is None:
        return []
    found = database.backend.catalog.find_all(connection, pinned.leaves)
    leaves = [replace(leaf, alias=table.name, only=True) for leaf in found if partitions.bound(connection, leaf)]
    condition = worked_out(connection, database, table, pinned.condition)
    return partitions.covered(connection, leaves, user_sql(f"NOT ({condition})"))


class StoppedError(Exception):
    """The run was asked to stop while a partition was detached."""


class _ChangedError(Exception):
    """Others have written to the detached partition after its rows were copied."""


@dataclass(frozen=True)
class Gone:
    """A partition that is dropped."""

    identity: str
    rows: int


class Dropping:
    """Detaches a partition, has its rows copied, looks at them again under a lock, and drops it.

    A detached partition is in the run's row until it is dropped or attached again, in the same transactions. After a
    crash, the process that continues the run completes that first. Each of these transactions renews the lease, so a
    process that has lost it changes nothing.
    """

    def __init__(
        self, database: Database, ledger: Ledger, held: Lease, run: Run, table: Table, condition: str | None,
        rows: WholeRows, retry_seconds: float, stop: Stop,
    ) -> None:  # fmt: skip
        assert database.backend.partitions is not None  # only where partitions were found covered
        self._partitions = database.backend.partitions
        self._database = database
        self._ledger = ledger
        self._held = held
        self._run = run.run
        self._table = table
        self._condition = condition
        self._rows = rows
        self._retry_seconds = retry_seconds
        self._stop = stop

    def finish_earlier(self) -> Gone | None:
        """Complete the drop that an earlier process of this job began; None if that partition is attached again."""
        detached = self._retried(self._detached)
        return self._finish(detached) if detached is not None else None

    def drop(self, leaf: Table) -> Gone | None:
        """Drop the partition; None if it stays, with its rows, because some of them do not match or cannot be copied.

        StoppedError if the run was asked to stop meanwhile; the partition is attached again then.
        """
        detached = self._retried(lambda: self._detach(leaf))
        return self._finish(detached) if detached is not None else None

    def _detach(self, leaf: Table) -> Detached | None:
        with self._fenced() as connection:
            if (earlier := _detached(self._pinned(connection))) is not None:  # the answer to COMMIT was lost
                return earlier
            detached = self._partitions.detach(connection, leaf)
            if detached is not None:
                if self._partitions.state(connection, detached) != "detached":
                    raise TransientError(f'Partition "{leaf.name}" was renamed or replaced just now.')
                self._remember(connection, {DETACHED: asdict(detached)})
        return detached

    def _finish(self, detached: Detached) -> Gone | None:
        """Copy and drop a detached partition; if anything keeps it from being dropped, attach it again."""
        leaf = self._retried(lambda: self._leaf(detached))
        if leaf is None:
            return None
        try:
            if self._rows.slow:
                self._validate(detached)
            return self._copied_and_dropped(detached, leaf)
        except LockedError:  # the partition is another process's now
            raise
        except (BatchopsError, StoppedError) as error:
            if (gone := self._retried(lambda: self._gone(detached))) is not None:
                return gone
            self._attach_again(detached, error)
            if isinstance(error, RowRefusedError):  # the rows go one by one, and this one stays
                return None
            raise

    def _validate(self, detached: Detached) -> None:
        """Prepare for the partition to be attached again; if that takes too long, attaching it does this work."""
        with suppress(TransientError), self._database.transaction() as connection:
            self._partitions.validate(connection, detached)

    def _copied_and_dropped(self, detached: Detached, leaf: Table) -> Gone | None:
        for _ in range(MOST_COPIES):
            if self._retried(lambda: self._failing(leaf)):
                self._attach_again(detached, None)
                return None
            self._rows.copy(leaf, self._check)
            try:
                gone = self._retried(lambda: self._drop_if_same(detached, leaf))
            except _ChangedError:
                self._rows.settle(dropped=False)
                continue
            self._rows.settle(dropped=True)
            return gone
        raise TransientError(
            f'Other sessions write to the detached partition "{detached.name}" by its own name: {MOST_COPIES} copies '
            "of its rows were not the rows that were there afterwards.",
            "stop these writers, or leave --drop-partitions out.",
        )

    def _drop_if_same(self, detached: Detached, leaf: Table) -> Gone:
        """Drop the partition if its rows match and are exactly the copied ones; else raise _ChangedError."""
        if (gone := self._gone(detached)) is not None:  # the answer to COMMIT was lost
            return gone
        with self._database.transaction(durable=True) as connection:
            self._partitions.hold(connection, detached)
            if self._partitions.state(connection, detached) != "detached":
                raise IntegrityError(
                    f'The detached partition "{detached.name}" was attached, renamed or replaced while it was copied.',
                    "find out who did that, then run the same command again.",
                )
            rows, failing = self._count(connection, leaf)
            if failing or not self._rows.same(connection, leaf, self._check):
                raise _ChangedError
            self._fence(connection)  # last, as the lease's row stays locked until COMMIT
            self._rows.record(connection)
            self._partitions.drop(connection, detached)
            before = self._pinned(connection)
            dropped = [*before.get(DROPPED, ()), asdict(detached) | {"rows": rows}]
            self._remember(
                connection,
                {DETACHED: None, DROPPED: dropped, DROPPED_ROWS: int(before.get(DROPPED_ROWS, 0)) + rows},
            )
        return Gone(detached.identity, rows)

    def _attach_again(self, detached: Detached, error: Exception | None) -> None:
        """Attach the partition again; if that fails, raise an error that names it: it stays in the ledger."""
        seconds = min(self._retry_seconds, ATTACH_SECONDS) if self._stop.asked else self._retry_seconds
        try:
            retrying(seconds, lambda: self._attach(detached))
        except LockedError:
            raise
        except BatchopsError as failed:
            first = f"{error.message} " if isinstance(error, BatchopsError) else ""
            raise TransientError(
                f'{first}Partition "{detached.name}" stays detached from "{detached.parent}", with all of its rows, '
                f"because it could not be attached again: {failed.message}",
                "run the same command again: it goes on with this partition first.",
            ) from failed
        with suppress(BatchopsError):  # the end of the run does it too
            self._rows.settle(dropped=False)

    def _attach(self, detached: Detached) -> None:
        with self._fenced() as connection:
            if _detached(self._pinned(connection)) is None:  # the answer to COMMIT was lost
                return
            self._partitions.hold(connection, detached)
            state = self._partitions.state(connection, detached)
            if state == "detached":
                self._partitions.attach(connection, detached)
            elif state != "attached":
                raise IntegrityError("Another table has its name, or it has another one.", "see `batchops runs`.")
            self._remember(connection, {DETACHED: None})

    def _leaf(self, detached: Detached) -> Table | None:
        """Return the detached table; None if somebody has attached it again, which is recorded then."""
        with self._database.reading() as connection:
            state = self._partitions.state(connection, detached)
            found = self._database.backend.catalog.find_all(connection, [(detached.schema, detached.name)])
        if state == "detached":
            return replace(found[0], alias=self._table.name, only=True)
        if state == "renamed":
            raise IntegrityError(
                f'The detached partition "{detached.name}" has another name now (OID {detached.identity}).',
                "give it its name again, then run the same command again.",
            )
        with self._fenced() as connection:
            self._remember(connection, {DETACHED: None})
        if state == "attached":
            return None
        raise IntegrityError(
            f'The detached partition "{detached.name}" no longer exists; the run has not dropped it.',
            "find out who dropped it; the same command goes on with the other rows.",
        )

    def _failing(self, leaf: Table) -> int:
        with self._database.reading() as connection:
            return self._count(connection, leaf)[1]

    def _count(self, connection: sa.Connection, leaf: Table) -> tuple[int, int]:
        """Count all rows, and the rows for which the condition is false or NULL."""
        matching = Selection(leaf, self._condition).clause
        counts = sa.select(sa.func.count(), sa.func.count().filter(matching)).select_from(leaf.called)
        rows = failing = 0
        for part in parts(connection, self._database.backend, leaf):
            every, good = connection.execute(counts.where(part)).one()
            rows, failing = rows + every, failing + every - good
            self._check()
        return rows, failing

    def _gone(self, detached: Detached) -> Gone | None:
        """Return the partition if its drop is durable; waits for a COMMIT that may still be on its way."""
        with self._fenced() as connection:
            dropped = self._pinned(connection).get(DROPPED, ())
        mine = (one["rows"] for one in dropped if one["identity"] == detached.identity and detached.identity)
        return next((Gone(detached.identity, rows) for rows in mine), None)

    def _detached(self) -> Detached | None:
        with self._fenced() as connection:
            return _detached(self._pinned(connection))

    def _check(self) -> None:
        if self._stop.asked:
            raise StoppedError

    def _retried(self, attempt: Callable[[], T]) -> T:
        """Retry after temporary errors, until the run is asked to stop."""
        try:
            return retrying(self._retry_seconds, attempt, stopped=lambda: self._stop.asked, sleep=self._stop.sleep)
        except TransientError as error:
            if self._stop.asked:
                raise StoppedError from error
            raise

    @contextmanager
    def _fenced(self) -> Iterator[sa.Connection]:
        with self._database.transaction(durable=True) as connection:
            self._fence(connection)
            yield connection

    def _fence(self, connection: sa.Connection) -> None:
        """Renew the lease in the transaction; LockedError if another process holds it, as the run is that one's."""
        if not lease.renew_within(connection, self._ledger, self._held):
            raise taken_over(self._run)

    def _pinned(self, connection: sa.Connection) -> dict[str, Any]:
        return self._ledger.one(connection, self._run).pinned

    def _remember(self, connection: sa.Connection, values: dict[str, Any]) -> None:
        self._ledger.save_pinned(connection, self._run, self._pinned(connection) | values)


def _detached(pinned: dict[str, Any]) -> Detached | None:
    return Detached(**pinned[DETACHED]) if pinned.get(DETACHED) else None
