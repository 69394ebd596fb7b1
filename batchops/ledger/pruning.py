"""prune(): removes runs that ended long ago, a few in each transaction."""

import sqlalchemy as sa

from batchops.ledger import run_events, samples, spools
from batchops.ledger.detached import detached_by
from batchops.ledger.ledger import Ledger
from batchops.ledger.requests import drop_over, scope_of_run

RUNS_PER_TRANSACTION = 500
"""How many runs one transaction removes."""


def prune(ledger: Ledger, older_than: float, *, most: int | None = None, job: str | None = None) -> int:
    """Remove runs that ended more than so many seconds ago, at most `most`, of one job or of all; return how many.

    A run that proves that a backfill has been applied is kept while it is its job's last run.
    """
    with ledger.database.transaction() as connection:
        drop_over(connection, ledger, older_than)
    gone = 0
    while most is None or gone < most:
        size = RUNS_PER_TRANSACTION if most is None else min(RUNS_PER_TRANSACTION, most - gone)
        forgotten = _prune_some(ledger, older_than, size, job)
        gone += forgotten
        if forgotten < size:
            break
    return gone


def _prune_some(ledger: Ledger, older_than: float, size: int, job: str | None) -> int:
    runs, workers = ledger.runs, ledger.workers
    old = [runs.c.prunable == 1, runs.c.ended_at < ledger.database.backend.own_tables.epoch() - older_than]
    # Rows of an archive may be in a spool only, and only the ledger knows its valid length.
    old += [~spools.unsealed_of(ledger, runs.c.run)]
    old += [~detached_by(ledger)]  # only the ledger knows what has to be done with a partition
    old += [] if job is None else [runs.c.job == job]
    query = sa.select(runs.c.run).where(*old).order_by(runs.c.ended_at).limit(size)
    with ledger.database.transaction() as connection:
        numbers = list(connection.execute(query).scalars())
        if numbers:
            connection.execute(ledger.rejected.delete().where(ledger.rejected.c.run.in_(numbers)))
            own = [scope_of_run(number) for number in numbers]
            connection.execute(ledger.requests.delete().where(ledger.requests.c.scope.in_(own)))
            samples.forget(connection, ledger, numbers)
            spools.forget(connection, ledger, numbers)
            run_events.forget(connection, ledger, numbers)
            connection.execute(workers.delete().where(workers.c.run.in_(numbers)))
            connection.execute(runs.delete().where(runs.c.run.in_(numbers), *old))
    return len(numbers)
