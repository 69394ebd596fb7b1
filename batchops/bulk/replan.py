"""Another walk for a run whose walk reads far more than it was planned to."""

from dataclasses import replace

from batchops.bulk.plan.choice import choose
from batchops.bulk.prepare import Prepared
from batchops.bulk.run_strategy import walk_of
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.cursor import Cursor
from batchops.errors import RefusedError
from batchops.ledger.run import Run
from batchops.sql.selection import Selection

_IN_ORDER = ("blocks", "keys", "index")


def another_walk(job: Prepared, now: Run, tried: frozenset[str]) -> tuple[Run, Walk] | None:
    """The run by a walk that was not tried yet, from its beginning; None where there is none.

    Nor is there one for a backfill, or for a list of ids.

    A purge may begin anew at any time: the rows that are gone are not met again.
    """
    if job.verb != "purge" or job.spec.ids is not None:
        return None
    family, table = job.database.family, job.plan.table
    selection = Selection(table, job.route.frozen.predicate)
    for wanted in _IN_ORDER:
        if wanted in tried:
            continue
        with job.database.reading() as connection:
            try:
                chosen = choose(connection, family, selection, job.key, wanted=wanted, purge=True)
            except RefusedError:
                continue
            frozen = job.route.frozen.by(chosen.walk, chosen.key, table, chosen.leaves)
            walk = walk_of(connection, family, table, frozen, look_again=True)
            cursor = replace(walk.begin(connection), base=now.rows)
        with job.ledger.database.transaction() as connection:
            kept = now.frozen | frozen.as_dict()
            return job.ledger.rewalk(connection, now, chosen.walk, kept, cursor.dumped(), Cursor(()).dumped()), walk
    return None
