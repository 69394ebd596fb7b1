"""How fast: rows/s of the tool, the naive loop and peers, relative to one statement that does the same."""

import shutil
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import DELETE, HALF, UPDATE, Database, Open
from tests.benchmarks.databases.mariadb import SCHEMA, MariaDB
from tests.benchmarks.sides import Side, SideFailedError, Timing, compare, say


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print the tables of one database; False if a side failed."""
    with opened() as database:
        rows = max(1000, int(database.rows * wanted.scale))
        say(f"{database.name}: filling {rows:,} rows")
        database.fill(rows)
        printing.heading(f"speed: {database.version()}, {rows:,} rows, half match")
        fine = True
        for reference, sides in _comparisons(database, wanted):
            compared = compare(reference, sides, database.renew, wanted.pairs)
            printing.comparison(compared)
            fine &= not any(measured.failure for measured in compared)
        return fine


def _comparisons(database: Database, wanted: Namespace) -> list[tuple[Side, list[Side]]]:
    fixed = ("--batch-size", str(wanted.batch_size))
    purge_fixed = Side(f"batchops purge {' '.join(fixed)}", lambda: purged(database, *fixed))
    found = [
        (
            Side("one DELETE", lambda: statement(database, DELETE)),
            [
                Side("batchops purge", lambda: purged(database)),
                purge_fixed,
                Side(f"naive loop of {wanted.batch_size:,}", lambda: naive_loop(database, wanted), pairs=1),
            ],
        ),
        (
            Side("one UPDATE", lambda: statement(database, UPDATE)),
            [Side("batchops backfill", lambda: backfilled(database))],
        ),
    ]
    if isinstance(database, MariaDB):
        size = wanted.batch_size
        archiver = Side(f"pt-archiver --limit {size}", lambda: pt_archiver(database, size))
        found.append((archiver, [purge_fixed]))
    return found


def compared(title: str, one: Side, sides: list[Side], renew: Callable[[], None], wanted: Namespace) -> bool:
    """Print a table; False if a side failed."""
    printing.heading(title)
    found = compare(one, sides, renew, wanted.pairs)
    printing.comparison(found)
    return not any(measured.failure for measured in found)


def renewed_with(database: Database, script: str) -> None:
    """The tables as they were filled, with others beside them."""
    database.renew()
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(script)
        cursor.execute("ANALYZE")
        connection.commit()


def statement(database: Database, sql: str) -> Timing:
    """One statement and its COMMIT."""
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        start = time.perf_counter()
        cursor.execute(sql)
        connection.commit()
        return Timing(time.perf_counter() - start, cursor.rowcount)


def purged(database: Database, *options: str) -> Timing:
    """The tool's purge, checked to have left no row that matches."""
    timing = tool.purge(database, *options).timing()
    _expect_none(database, HALF)
    return timing


def backfilled(database: Database, *options: str) -> Timing:
    """The tool's backfill, checked to have reached every row that matches."""
    timing = tool.backfill(database, *options).timing()
    _expect_none(database, f"{HALF} AND score <> status + 1")
    return timing


def naive_loop(database: Database, wanted: Namespace) -> Timing:
    """Select from the start each time: quadratic, so it ends at the cap with what it did by then."""
    sql = database.naive.format(size=wanted.batch_size)
    rows = 0
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < wanted.cap:
            cursor.execute(sql)
            connection.commit()
            if not cursor.rowcount:
                return Timing(seconds, rows)
            rows += cursor.rowcount
    left = _count(database, HALF)
    return Timing(seconds, rows, f"cut off with {left:,} rows left: the whole is slower still")


PURGE = ("--purge", "--bulk-delete")


def pt_archiver(database: MariaDB, size: int, where: str = HALF, to: Sequence[str] = PURGE) -> Timing:
    """Percona's tool; its start-up, seen on a condition that nothing matches, is taken off as ours is."""
    if shutil.which("pt-archiver") is None:
        raise SideFailedError("pt-archiver is not on PATH (package percona-toolkit)")
    start_up = _pt_archiver(database, size, "id < 0", to)
    rows = _count(database, where)
    seconds = _pt_archiver(database, size, where, to) - start_up
    _expect_none(database, where)
    return Timing(seconds, rows, f"without {start_up:.2f} s of start-up")


def _pt_archiver(database: MariaDB, size: int, where: str, to: Sequence[str]) -> float:
    account = database.account()
    source = f"h={account['host']},P={account['port']},u={account['user']},D={SCHEMA},t=events"
    if account["password"]:
        source += f",p={account['password']}"
    command = ["pt-archiver", "--source", source, "--where", where, "--limit", str(size)]
    command += [*to, "--commit-each", "--no-check-charset", "--no-version-check"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SideFailedError(done.stderr.strip()[-300:])
    return time.perf_counter() - start


def _expect_none(database: Database, where: str) -> None:
    """A side that left work undone has no time worth printing."""
    left = _count(database, where)
    if left:
        raise SideFailedError(f"{left:,} rows were left")


def _count(database: Database, where: str) -> int:
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT count(*) FROM events WHERE {where}")
        row: Any = cursor.fetchone()
        return int(row[0])
