"""From what a drain was asked to do to a drain that may be run; nothing is written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.backend import Server
from batchops.db.database import Database
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed
from batchops.events import Finished
from batchops.queue.dry_run import rehearse
from batchops.queue.handlers import Handler
from batchops.queue.handlers.function import Function
from batchops.queue.handlers.registry import handler_of
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.queue import Queue
from batchops.queue.resolve import ResolvedQueue, resolve_queue
from batchops.queue.spec import DrainSpec
from batchops.spec.settings import reached
from batchops.version import __version__


@dataclass(frozen=True)
class DrainJob:
    """A drain that is planned and may be run."""

    spec: DrainSpec
    database: Database
    server: Server
    queue: Queue
    leases: Leases | RowLocks
    handler: Handler
    plan: tuple[tuple[str, str], ...]
    """What will happen, as names and texts."""
    estimate: int | None
    warnings: tuple[str, ...]
    again: str = ""

    def rehearse(self) -> Sequence[Rehearsed]:
        """The statements of its first claim."""
        spec = self.spec
        with self.database.reading() as connection:
            rows, seconds = spec.batch_size or FIRST_ROWS, spec.lease.total_seconds()
            return [*rehearse(connection, self.database, self.queue, self.leases, rows, seconds)]

    def ended(self, reason: str) -> Finished:
        """The end of a drain that did not run."""
        return Finished("drain", self.queue.table.label, reason, 0, __version__, strategy="claims")


@contextmanager
def prepare_drain(
    spec: DrainSpec, environ: Mapping[str, str], function: Function | None = None, *, again: str = ""
) -> Iterator[DrainJob]:
    """Reach the database and plan the drain, without writing anything; BatchopsError where it cannot be.

    `again`: the command that goes on with it, where the verb's own does not.
    """
    with closing(handler_of(spec, function, environ)) as handler, reached(spec, environ) as database:
        with database.reading() as connection:
            job = _prepare(connection, spec, database, handler, again)
        yield job


def _prepare(connection: sa.Connection, spec: DrainSpec, database: Database, handler: Handler, again: str) -> DrainJob:
    found: ResolvedQueue = resolve_queue(connection, database, spec, handler)
    return DrainJob(
        spec, database, found.server, found.queue, found.leases, handler, found.plan, found.estimate,
        database.address.warnings, again,
    )  # fmt: skip
