"""Runs that have detached a partition, and neither dropped it nor attached it again."""

import sqlalchemy as sa

from batchops.ledger.ledger import Ledger
from batchops.ledger.run import DETACHED, Run

MOST = 1_000
"""The most such runs that are loaded."""


def detached_by(ledger: Ledger) -> sa.ColumnElement[bool]:
    """Return the SQL condition that a run has a detached partition."""
    return ledger.runs.c.pinned.contains(f'"{DETACHED}": {{', autoescape=True)


def runs_with_detached(connection: sa.Connection, ledger: Ledger, table: str) -> list[Run]:
    """Return the runs of a table that have a detached partition, newest first."""
    own = sa.and_(ledger.runs.c.table_name == table, detached_by(ledger))
    return [run for run in ledger.select_runs(connection, own, limit=MOST) if run.detached]


def load_detached(ledger: Ledger) -> list[Run]:
    """Return the runs of any table that have a detached partition, newest first; none if there is no ledger yet."""
    with ledger.database.reading() as connection:
        if ledger.state(connection) != "current":
            return []
        return ledger.select_runs(connection, detached_by(ledger), limit=MOST)
