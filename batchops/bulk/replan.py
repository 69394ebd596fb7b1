"""Measures whether a strategy reads what was planned, and finds another one for a run if it reads far more."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from batchops.bulk.run_strategy import choose, strategy_of
from batchops.bulk.strategies import STRATEGIES
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Situation, Strategy
from batchops.db.backend import Backend
from batchops.db.facts import TableName
from batchops.db.table import Table
from batchops.errors import RefusedError
from batchops.ledger.run import Run
from batchops.sql.selection import Selection

if TYPE_CHECKING:  # the job itself imports this
    from batchops.bulk.job import BulkJob

EVERY = 8
"""How many batches pass until one is measured, at first and after one that read too much: measuring costs a round
trip or two."""
SELDOM = 64
"""The most batches between two measurements: each good one doubles the distance."""
TOO_MUCH = 10
"""A batch may read this many times the rows that were planned."""
SLACK = 5_000
"""Rows that a batch may read besides: it is right to read a small table whole."""
IN_A_ROW = 2
"""How many measured batches in a row have to read too much before the strategy is changed."""


class ReadMeter:
    """Measures some of the batches, and tells when the strategy reads too much. For one worker.

    Rows of other tables count if the condition reads them, as far as the server tells tables apart: another strategy
    may save those, but not the reads of foreign keys and triggers.
    """

    def __init__(self, backend: Backend, table: Table, others: Collection[TableName]) -> None:
        """`others`: the tables that the condition reads."""
        self._backend = backend
        self._table = table
        self._others = others
        self._every = self._until = EVERY
        self._bad = 0

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        """Return what counts the rows that this connection reads from now on; None if the batch is not measured."""
        self._until -= 1
        if self._until > 0:
            return None
        return self._backend.planner.meter(connection, self._table, self._others)

    def check(self, planned: int, read: int) -> str | None:
        """Return the message about a batch that read too many rows; None while all is well."""
        if read <= TOO_MUCH * planned + SLACK:
            self._bad = 0
            self._every = self._until = min(2 * self._every, SELDOM)
            return None
        self._bad += 1
        self._every = self._until = EVERY
        if self._bad < IN_A_ROW:
            return None
        beside = ", those of other tables included" if self._others else ""
        return f"A batch reads {read:,} rows{beside}; the plan expected {planned:,}."


def another_strategy(job: "BulkJob", now: Run, tried: frozenset[str]) -> tuple[Run, Strategy] | None:
    """Return the run with a strategy that was not tried yet, from its beginning; None if there is none.

    There is none for a backfill or a list of rows. A purge may start again at any time: deleted rows are not met again.
    """
    if not job.plan.verb.removes or job.spec.ids is not None or job.route.kind.evaluates_once:
        return None
    backend, table = job.database.backend, job.plan.table
    selection = Selection(table, job.route.pinned.condition)
    for wanted in _in_order():
        if wanted in tried:
            continue
        with job.database.reading() as connection:
            try:
                situation = Situation(
                    connection, backend, selection, job.key, once=False, wanted=wanted, named=job.spec.names_rows
                )
                chosen = choose(situation)
            except RefusedError:
                continue
            pinned = job.route.pinned.by(chosen, table)
            strategy = strategy_of(connection, job.database, table, pinned, look_again=job.spec.look_again)
            cursor = replace(strategy.begin(connection), base=now.rows)
        with job.ledger.database.transaction() as connection:
            kept = now.pinned | pinned.as_dict()
            return job.ledger.replan(
                connection, now, chosen.strategy, kept, cursor.dumped(), Cursor(()).dumped()
            ), strategy
    return None


def as_before(job: "BulkJob", now: Run) -> Run:
    """Return the run, which goes on where it is, with new fencing tokens: spools with the old ones are there."""
    with job.ledger.database.transaction() as connection:
        for worker in now.workers:
            job.ledger.reassign(connection, worker, worker.cursor)
        return job.ledger.one(connection, now.run)


def _in_order() -> list[str]:
    """Return the strategies that advance with every batch; first those that read the table once, whatever matches."""
    usable = [kind for kind in STRATEGIES if not (kind.starts_over or kind.takes_ids or kind.evaluates_once)]
    return [kind.name for kind in sorted(usable, key=lambda kind: kind.reads_matches)]
