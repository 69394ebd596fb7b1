"""Another strategy for a run whose strategy reads far more rows than planned."""

from dataclasses import replace

from batchops.bulk.plan.choice import choose
from batchops.bulk.prepare import BulkJob
from batchops.bulk.run_strategy import strategy_of
from batchops.bulk.strategies import Strategy
from batchops.bulk.strategies.cursor import Cursor
from batchops.errors import RefusedError
from batchops.ledger.run import Run
from batchops.sql.selection import Selection

_IN_ORDER = ("block", "key", "index")


def another_strategy(job: BulkJob, now: Run, tried: frozenset[str]) -> tuple[Run, Strategy] | None:
    """The run with a strategy that was not tried yet, from its beginning; None if there is none.

    Nor is there one for a backfill, or for a list of ids.

    A purge may begin anew at any time: the rows that are gone are not met again.
    """
    if job.verb != "purge" or job.spec.ids is not None:
        return None
    backend, table = job.database.backend, job.plan.table
    selection = Selection(table, job.route.pinned.condition)
    for wanted in _IN_ORDER:
        if wanted in tried:
            continue
        with job.database.reading() as connection:
            try:
                chosen = choose(connection, backend, selection, job.key, wanted=wanted, purge=True)
            except RefusedError:
                continue
            pinned = job.route.pinned.by(chosen.strategy, chosen.key, table, chosen.leaves)
            strategy = strategy_of(connection, backend, table, pinned, look_again=True)
            cursor = replace(strategy.begin(connection), base=now.rows)
        with job.ledger.database.transaction() as connection:
            kept = now.pinned | pinned.as_dict()
            return job.ledger.replan(
                connection, now, chosen.strategy, kept, cursor.dumped(), Cursor(()).dumped()
            ), strategy
    return None
