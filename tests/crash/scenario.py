"""A table whose every row tells how often it was touched, and what one statement would have made of it."""

import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from tests.command import Batchops
from tests.leases import expired
from tests.services.database import Database
from tests.services.proxy import Proxy
from tests.waiting import ended, until

ROWS = 4_000

_MAKE = {
    "postgresql": "INSERT INTO t SELECT i, i % 7, 0 FROM generate_series(1, {rows}) i",
    "mysql": "INSERT INTO t SELECT seq, seq % 7, 0 FROM seq_1_to_{rows}",
    "sqlite": "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) "
    "INSERT INTO t SELECT i, i % 7, 0 FROM c",
}


def make(database: Database, rows: int = ROWS) -> None:
    """`t`: kind says which rows match, touched counts how often each was updated."""
    database.script("CREATE TABLE t (id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL)")
    database.execute(_MAKE[database.backend].format(rows=rows))


@dataclass(frozen=True)
class Scenario:
    """A job, and whether the table is what one statement would have left."""

    verb: str
    arguments: tuple[str, ...]
    expected_rows: int

    def wrong(self, database: Database) -> str | None:
        """What is wrong with the table; None for nothing."""
        if self.verb == "purge":
            left = database.scalar("SELECT count(*) FROM t WHERE kind < 4")
            others = database.scalar("SELECT count(*) FROM t WHERE kind >= 4")
            if left or others != ROWS - self.expected_rows:
                return f"{left} rows left, {others} others"
            return None
        histogram: list[tuple[Any, ...]] = database.rows(
            "SELECT kind < 4, touched, count(*) FROM t GROUP BY kind < 4, touched"
        )
        found = {(bool(matching), touched): count for matching, touched, count in histogram}
        wanted = {(True, 1): self.expected_rows, (False, 0): ROWS - self.expected_rows}
        return None if found == wanted else f"(matching, touched) → rows: {found}"


MATCHING = sum(1 for i in range(1, ROWS + 1) if i % 7 < 4)
PURGE = Scenario("purge", ("t", "--where", "kind < 4"), MATCHING)
COUNT_UP = Scenario("backfill", ("t", "--where", "kind < 4", "--set", "touched = touched + 1"), MATCHING)
LISTED = Scenario("purge", ("t", "--where", "kind < 4 AND id IN (SELECT x.id FROM t AS x WHERE x.kind < 4)"), MATCHING)
COUNT_ONCE = Scenario(
    "backfill",
    ("t", "--where", "kind < 4", "--set", "touched = (SELECT max(x.touched) FROM t AS x WHERE x.id = t.id) + 1"),
    MATCHING,
)
SCENARIOS = {"purge": PURGE, "backfill": COUNT_UP, "listed purge": LISTED, "listed backfill": COUNT_ONCE}
SLOW = ("--batch-size", "20", "--sleep", "30ms")
"""Of a run that is let through: seconds."""
LINGERING = ("--batch-size", "20", "--sleep", "400ms")
"""Of one that is ended before it is through: the better part of a minute."""


def job(database: Database, *more: str, scenario: Scenario = COUNT_UP) -> tuple[str, ...]:
    """The command line that does it, without a question."""
    return (*at(database.url, scenario), *more)


def wait_for_work(process: "subprocess.Popen[str]", database: Database, batches: int = 3) -> None:
    """Until the run has committed so many batches."""
    until(lambda: batches_done(database) >= batches, process)


def batches_done(database: Database) -> int:
    """Committed by the worker that has done most."""
    try:
        return int(database.scalar("SELECT max(batches) FROM batchops_worker") or 0)
    except Exception as error:  # noqa: BLE001  the ledger is not there yet
        assert "batchops" in str(error)
        return 0


def killed_in_commit(batchops: Batchops, right: Batchops, database: Database) -> str | None:
    """What is wrong after kill -9 while the COMMIT that holds the cursor is on its way and never arrives."""
    with Proxy(database.url, "stall", of="update batchops_worker", every=3) as proxy:
        first = batchops.start(*at(proxy.url), "--batch-size", "200")
        proxy.wait(cut=1)
        first.kill()
        first.wait()
    second = right(*job(database, "--json"))
    assert second.code == 0, second
    return COUNT_UP.wrong(database)


def at(url: str, scenario: Scenario = COUNT_UP) -> tuple[str, ...]:
    """The same at another address."""
    return (scenario.verb, *scenario.arguments, "--url", url, "-y")


def stopped_and_taken_over(
    batchops: Batchops, right: Batchops, database: Database, *more: str
) -> tuple[str | None, int]:
    """What is wrong, and the exit code of a run that was stopped longer than its lease, taken over and woken up."""
    # So long a lease that awake again it writes, or tries to, before it renews it: the fence alone keeps it out.
    first = batchops.start(*job(database, "--json", "--lease", "1h", *LINGERING))
    wait_for_work(first, database)
    stop_between_batches(first, database)
    expired(database, "batchops_lease")
    second = right(*job(database, "--json", *more))
    assert second.code == 0, second
    before = touched(database)
    first.send_signal(signal.SIGCONT)
    until(lambda: first.poll() is not None or touched(database) != before)
    first.kill()  # a variant that goes on
    return (None if touched(database) == before else "it wrote after it was taken over"), ended(first).code


def touched(database: Database) -> list[tuple[Any, ...]]:
    """What the jobs have done, and what the ledger says of it."""
    lanes = database.rows("SELECT run, worker, batches, rows_changed FROM batchops_worker ORDER BY 1, 2")
    return [*database.rows("SELECT touched, count(*) FROM t GROUP BY touched ORDER BY touched"), *lanes]


def stop_between_batches(process: "subprocess.Popen[str]", database: Database) -> None:
    """SIGSTOP where it holds no lock: stopped inside a write it would keep everyone else out of those rows."""
    for _ in range(50):
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.15)  # InnoDB tells of its transactions no more often than that
        try:
            free = not locked(database) and not locked(database)
        except Exception as error:  # noqa: BLE001  whatever the driver calls a locked file
            assert "locked" in str(error)
            free = False
        if free:
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("never met between two batches")


def locked(database: Database) -> bool:
    """Whether the tool has a transaction open."""
    if database.backend == "postgresql":
        return bool(
            database.scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchops' "
                "AND datname = current_database() AND xact_start IS NOT NULL"
            )
        )
    if database.backend == "mysql":
        return bool(
            database.scalar(
                "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist p "
                "ON p.id = trx_mysql_thread_id WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()"
            )
        )
    database.execute("UPDATE t SET kind = kind WHERE id = -1")
    return False
