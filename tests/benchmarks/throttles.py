"""What control and throttles cost beside a run, and whom a purge with a replica disturbs: on one PostgreSQL server with
a streaming standby."""

import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from tests.benchmarks import printing, servers
from tests.benchmarks.databases.postgresql import PostgreSQL
from tests.benchmarks.gentle import Latencies, beside, rest
from tests.benchmarks.gentle import purge as purged
from tests.benchmarks.pgbench import CLIENTS, RATE
from tests.benchmarks.sides import SideFailedError, say
from tests.services import postgres
from tests.services.server import UnavailableError
from tests.services.standby import standby

SECONDS = 20.0
"""Of each look at a run that sleeps: what else it does is all that it does."""
OFF = ("--throttle", "replica-lag=off", "--throttle", "blocked=off")
MORE = tuple(
    word
    for one in ("xmin-age=1000000000", "dead-tuples=1000000000", "vacuum", "active-sessions=1000", "slot-lag=1000GB",
                "wal-rate=1000GB/s", "commit-latency=1h", "active-per-cpu=1000", "free-disk=1kB", "load=1000")
    for word in ("--throttle", one)
)  # fmt: skip
SIDES: dict[str, Sequence[str]] = {
    "throttles off": OFF, "throttles off, again": OFF, "the default set": (), "ten more": MORE,
}  # fmt: skip
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a run takes in a second."""

    statements: float
    transactions: float
    cpu: float
    """Milliseconds of the run's process."""
    server_cpu: float
    """Milliseconds of all processes of the server."""


def measure(wanted: Namespace) -> bool:
    """Print two tables; False if a side failed."""
    if wanted.pg_url:
        raise UnavailableError("it starts a standby, so it takes no --pg-url")
    with _primary() as (url, pid):
        database = PostgreSQL(url)
        rows = max(10_000, int(database.rows * wanted.scale))
        say(f"throttles: filling {rows:,} rows")
        database.fill(rows)
        fine = _costs(database, pid, wanted.pairs)
        return _latencies(database, rows, wanted.pairs) and fine


@contextmanager
def _primary() -> Iterator[tuple[str, int]]:
    """A server with a standby; its URL and the number of its process."""
    server = postgres.private(on_disk=True)
    server.argv = [*server.argv, *servers.POSTGRESQL, "--shared_preload_libraries=pg_stat_statements"]
    with server, standby(server, "copy1"):
        yield server.url, server.pid


def _costs(database: PostgreSQL, pid: int, pairs: int) -> bool:
    database.renew()
    with closing(psycopg.connect(database.url, autocommit=True)) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        found: dict[str, list[Cost]] = {name: [] for name in ("nothing", *SIDES)}
        for number in range(pairs):
            for name, options in (("nothing", None), *SIDES.items()):
                say(f"throttles: cost of {name}, {number + 1}")
                found[name].append(_cost(connection, database, pid, options))
    printing.heading(
        f"throttles: {database.version()} with a standby, a purge that sleeps; load {os.getloadavg()[0]:.1f}"
    )
    columns = ("beside", "statements/s", "transactions/s", "ms CPU/s of the run", "ms CPU/s of the server", "load")
    printing.table(columns, [_cost_line(name, some) for name, some in found.items()])
    return True


def _cost_line(name: str, some: list[Cost]) -> tuple[str, ...]:
    figures = ([one.statements for one in some], [one.transactions for one in some], [one.cpu for one in some],
               [one.server_cpu for one in some])  # fmt: skip
    return (name, *(f"{median(each):.2f}" for each in figures), f"{os.getloadavg()[0]:.1f}")


def _cost(connection: "psycopg.Connection[Any]", database: PostgreSQL, pid: int, options: Sequence[str] | None) -> Cost:
    words = ["purge", "events", "--url", database.url, "--where", "status = 1", "-yq", *(options or ())]
    slow = ["--batch-size", "1", "--sleep", "1h", "--restart", "--allow", "scan"]
    command = [sys.executable, "-m", "batchops", *words, *slow]
    process = None if options is None else subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        if process is not None:
            _until_it_sleeps(connection, process)
        before = _counted(connection, pid, process)
        time.sleep(SECONDS)
        after = _counted(connection, pid, process)
    finally:
        if process is not None:
            process.kill()
            process.wait()
    took = after[0] - before[0]
    return Cost(*((two - one) / took for one, two in zip(before[1:], after[1:], strict=True)))


def _until_it_sleeps(connection: "psycopg.Connection[Any]", process: "subprocess.Popen[bytes]") -> None:
    """It has done its one batch; a quiet default has been looked at."""
    begun = "SELECT count(*) FROM batchops_worker WHERE run = (SELECT max(run) FROM batchops_run) AND batches > 0"
    before = _newest(connection)
    while _newest(connection) == before or not (connection.execute(begun).fetchone() or (0,))[0]:
        if process.poll() is not None:
            raise SideFailedError(f"the purge ended with {process.returncode}")
        time.sleep(0.1)
    time.sleep(3.0)


def _newest(connection: "psycopg.Connection[Any]") -> object:
    """The newest run that is known."""
    there = connection.execute("SELECT to_regclass('batchops_run')").fetchone()
    if there is None or there[0] is None:
        return None
    return connection.execute("SELECT max(run) FROM batchops_run").fetchone()


def _counted(
    connection: "psycopg.Connection[Any]", pid: int, process: "subprocess.Popen[bytes] | None"
) -> tuple[float, ...]:  # fmt: skip
    connection.execute("SELECT pg_stat_clear_snapshot()")
    statements = connection.execute("SELECT sum(calls) FROM pg_stat_statements").fetchone()
    transactions = connection.execute("SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database").fetchone()
    own = 0.0 if process is None else _cpu(process.pid)
    server = sum(_cpu(one) for one in (pid, *_children(pid)))
    return time.monotonic(), float((statements or (0,))[0]), float((transactions or (0,))[0]), own, server


def _cpu(pid: int) -> float:
    """Milliseconds, those of children that have ended included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[n]) for n in (11, 12, 13, 14)) * 1000 / TICK


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _latencies(database: PostgreSQL, rows: int, pairs: int) -> bool:
    """The others' transactions: alone, and beside a purge that keeps to the default set."""
    works = {"alone": rest, "batchops purge": purged}
    found: dict[str, list[Latencies]] = {name: [] for name in works}
    failures: dict[str, str] = {}
    for number, (name, work) in product(range(pairs), works.items()):
        say(f"throttles: load {name}, {number + 1}")
        database.renew()
        try:
            found[name].append(beside(database, rows, work))
        except SideFailedError as error:
            failures[name] = str(error)
    printing.heading(
        f"throttles: {rows:,} rows, half match; a standby attached; pgbench: {RATE} tps, {CLIENTS} clients"
    )
    columns = ("beside", "seconds", "p50 ms", "p99 ms", "worst ms", "p99 ÷ alone", "load")
    printing.table(columns, [_latency_line(name, found, failures) for name in works])
    return not failures


def _latency_line(name: str, found: dict[str, list[Latencies]], failures: dict[str, str]) -> tuple[str, ...]:
    goes = found[name]
    if name in failures or not goes:
        return (name, "", "", "", "", f"failed: {failures.get(name, '')}", "")
    ratio = median(mine.p99 / alone.p99 for mine, alone in zip(goes, found["alone"], strict=False))
    return (
        name,
        f"{median(one.seconds for one in goes):.2f}",
        f"{median(one.p50 for one in goes):.1f}",
        f"{median(one.p99 for one in goes):.1f}",
        f"{median(one.worst for one in goes):.0f}",
        f"{ratio:.2f}",
        f"{os.getloadavg()[0]:.1f}",
    )
