"""Leases that are over: their stored end is moved; one short enough to wait for would be lost on a busy machine."""

import subprocess

from tests.services.database import Database
from tests.waiting import until


def expired(database: Database, table: str) -> None:
    """Whoever holds a lease in that table gives no more signs of life; it must be dead or stopped."""
    assert database.execute(f"UPDATE {table} SET lease_until = 1 WHERE lease_until IS NOT NULL") > 0


def lease_ends(database: Database, table: str) -> float:
    """The latest end of a lease in that table, in the database's seconds; 0 where there is none."""
    return float(database.scalar(f"SELECT max(lease_until) FROM {table}") or 0)


def heartbeats(database: Database, process: "subprocess.Popen[str]", number: int) -> None:
    """Until a run's lease was renewed so many times more."""
    for _ in range(number):
        before = lease_ends(database, "batchops_lease")
        until(lambda before=before: lease_ends(database, "batchops_lease") > before, process)  # type: ignore[misc]
