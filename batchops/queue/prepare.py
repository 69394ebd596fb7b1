"""Prepares a drain: makes a job from a spec, and writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.recorded_statements import FIRST_ROWS, Rehearsed, recording, rehearsed
from batchops.db.signals import run_scope
from batchops.queue.handlers import Handler
from batchops.queue.handlers.function import Function
from batchops.queue.handlers.registry import handler_of
from batchops.queue.job import CLAIMS, DrainJob
from batchops.queue.leases import Leases
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.queue import Queue, Row
from batchops.queue.resolve import ResolvedQueue, resolve_queue
from batchops.queue.spec import DrainSpec
from batchops.spec.loop_throttles import throttle_facts
from batchops.spec.settings import reached, record_ledger
from batchops.spec.verb import DIRECT, FactsPlan, RecipeCall, Verb
from batchops.throttles.chosen import ChosenThrottle, chosen

TOKEN = "dry-run"


def rehearse(
    connection: sa.Connection, database: Database, queue: Queue, leases: Leases | RowLocks, rows: int, seconds: float
) -> Iterator[Rehearsed]:
    """Yield the statements that claim the first rows, and those that mark the first one as done."""
    with recording(connection) as claim:
        if isinstance(leases, RowLocks):
            leases.claim(connection, rows, None, ())
        else:
            leases.claim(connection, rows, None, TOKEN, seconds)
    yield from rehearsed(connection, database, "claim", claim)
    first = leases.first(connection, None)
    if first is None:
        return
    if queue.claimed and not isinstance(leases, RowLocks):
        with recording(connection) as claimed:
            leases.mark(connection, [Row(first, {})])
        yield from rehearsed(connection, database, "claim", claimed)
    with recording(connection) as marks:
        if isinstance(leases, RowLocks):
            leases.ack(connection, [first])
        else:
            leases.ack(connection, TOKEN, [first], 1)
        if not any(isinstance(one, sa.Update | sa.Delete) for one in marks):  # it is not leased, so none was sent
            RowLocks(database.backend, queue).ack(connection, [first])
    yield from rehearsed(connection, database, "mark", marks)


@contextmanager
def prepare_drain(
    spec: DrainSpec, environ: Mapping[str, str], *, handler: Function | None = None, recipe: RecipeCall = DIRECT
) -> Iterator[DrainJob]:
    """Connect to the database and yield the job, without writing anything; BatchopsError if it cannot be prepared."""
    with (
        closing(handler_of(spec, handler, environ)) as opened,
        reached(spec, environ) as database,
        record_ledger(spec, database, environ) as ledger,
    ):
        with database.reading() as connection:
            job = _prepare(connection, spec, database, opened, recipe.command)
        yield replace(job, ledger=ledger, recipe_job=recipe.job)


def _prepare(connection: sa.Connection, spec: DrainSpec, database: Database, handler: Handler, again: str) -> DrainJob:
    found = resolve_queue(connection, database, spec, handler)

    def first_statements() -> Sequence[Rehearsed]:
        return _rehearsed(spec, database, found)

    throttles = _throttles(connection, spec, database, found.queue)
    watched = throttle_facts(spec, throttles)
    plan = FactsPlan(
        VERB,
        found.queue.table.label,
        CLAIMS,
        (*found.facts, *watched),
        database.address.warnings,
        rehearse=first_statements,
    )
    return DrainJob(
        spec, database, found.queue, found.leases, handler, found.estimate, plan, again, throttles=throttles
    )


def _throttles(
    connection: sa.Connection, spec: DrainSpec, database: Database, queue: Queue
) -> tuple[ChosenThrottle, ...]:  # fmt: skip
    if not spec.throttles:
        return ()
    role = database.backend.catalog.server(connection).role
    return chosen(connection, database, spec.throttles, run_scope(role, queue.table, spec.replicas, database))


def _rehearsed(spec: DrainSpec, database: Database, found: ResolvedQueue) -> list[Rehearsed]:
    """Return the statements of the first claim."""
    rows, seconds = spec.batch_size or FIRST_ROWS, spec.lease.total_seconds()
    with database.reading() as connection:
        return [*rehearse(connection, database, found.queue, found.leases, rows, seconds)]


VERB = Verb(
    name="drain",
    spec=DrainSpec,
    help="Hand the pending rows of TABLE to a handler, by any number of workers and processes.\n\nA worker leases "
    "rows, hands them to the handler, and marks them as done if it still holds the lease. Each row is handled "
    "at least once. Work by --set or by a function (rows, connection) is done exactly once. drain asks no "
    "question.",
    participle="handled",
    prepare=prepare_drain,
)
