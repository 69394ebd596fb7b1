"""`python -m tests.benchmarks.drain`: jobs/s beside bare psycopg, pgqueuer and procrastinate, one run, one server.

The peers come with `pip install pgqueuer procrastinate`; one that is not there is left out and said to be.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.printing import heading, table
from tests.benchmarks.sides import say
from tests.services import mariadb as mariadb_service

TABLE = """
DROP TABLE IF EXISTS jobs;
CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, payload text,
    lease text, lease_until double precision, attempts integer NOT NULL DEFAULT 0, next_at double precision,
    failure text
) WITH (fillfactor = 50)
"""
CLAIM = """
WITH free AS MATERIALIZED (
  SELECT id FROM jobs WHERE (status = 'pending') AND lease IS NULL
    AND (next_at IS NULL OR next_at <= date_part('epoch', now())) AND id >= %s
  ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE jobs SET lease = %s, lease_until = date_part('epoch', now()) + 30, attempts = attempts + 1
FROM free WHERE jobs.id = free.id RETURNING jobs.id, jobs.status, jobs.payload, jobs.attempts
"""
FINALISE = """
UPDATE jobs SET status = 'done', lease = NULL, lease_until = NULL WHERE id = ANY(%s) AND lease = %s RETURNING id
"""
ROOT = Path(__file__).parent.parent.parent


def fill(url: str, jobs: int) -> None:
    """A fresh table of pending jobs."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
        connection.execute(
            "INSERT INTO jobs (status, payload)"
            " SELECT 'pending', 'job number ' || g FROM generate_series(1, %s::int) g",
            (jobs,),
        )
        connection.execute("VACUUM ANALYZE jobs")
        connection.execute("CHECKPOINT")


def bare(url: str, jobs: int, size: int) -> float:
    """The same claims by psycopg alone, from where the last one ended; jobs/s."""
    done, low = 0, 0
    with psycopg.connect(url) as connection:
        before = time.perf_counter()
        while True:
            rows = connection.execute(CLAIM, (low, size, "x")).fetchall()
            connection.commit()
            if not rows:
                break
            ids = [row[0] for row in rows]
            done += len(connection.execute(FINALISE, (ids, "x")).fetchall())
            connection.commit()
            low = min(ids)
        seconds = time.perf_counter() - before
    assert done == jobs
    return jobs / seconds


def ours(url: str, *args: str) -> float:
    """`batchops drain` with a handler that does nothing, by its own document; jobs/s."""
    work = ("--where", "status = 'pending'", "--done", "status = 'done'", "--call", "tests.queues.hands:noop")
    done = subprocess.run(
        [sys.executable, "-m", "batchops", "drain", "jobs", "--url", url, *work, "--json", *args],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert document["reason"] in ("done", "max-time"), done.stdout + done.stderr
    rate: float = document["rows"] / document["seconds"]
    return rate


@contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    """A transaction that keeps every row version from now on."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM jobs")
        yield


def speed(url: str, jobs: int, pairs: int) -> None:
    """Pairs of bare and ours, and the peers once for each of their settings."""
    heading(f"drain on PostgreSQL: {jobs:,} jobs, nothing to do for each")
    figures: dict[str, list[float]] = {
        "bare psycopg, 1,000 a claim": [],
        "batchops drain": [],
        "batchops, 2 workers": [],
    }
    sides: dict[str, Callable[[], float]] = {
        "bare psycopg, 1,000 a claim": lambda: bare(url, jobs, 1_000),
        "batchops drain": lambda: ours(url),
        "batchops, 2 workers": lambda: ours(url, "--workers", "2"),
    }
    for pair in range(pairs):
        for name, side in sides.items():
            say(f"{name}: {pair + 1}")
            fill(url, jobs)
            figures[name].append(side())
    lines = [(name, f"{statistics.median(rates):,.0f}", "") for name, rates in figures.items()]
    lines += list(peers(url, jobs))
    mine = statistics.median(figures["batchops drain"])
    table(("side", "jobs/s", "batchops ×", ""), [
        (name, rate, f"{mine / float(rate.replace(',', '')):.2f}" if rate else "", note) for name, rate, note in lines
    ])  # fmt: skip


def peers(url: str, jobs: int) -> Iterator[tuple[str, str, str]]:
    """Each peer in a process of its own, at the best of the settings its documentation names."""
    for name, settings, most in (("pgqueuer", (10, 100, 1_000), 20_000), ("procrastinate", (1, 10, 30), 3_000)):
        best, at = 0.0, 0
        for setting in settings:
            say(f"{name}: {setting}")
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.drain_peers", name, url, str(min(jobs, most)), str(setting)],
                capture_output=True, text=True, cwd=ROOT, check=False,
            )  # fmt: skip
            if done.returncode:
                yield name, "", (done.stderr.strip() or "no output").splitlines()[-1]
                break
            rate = float(done.stdout.split()[-1])
            best, at = max((best, at), (rate, setting))
        else:
            yield name, f"{best:,.0f}", f"{min(jobs, most):,} jobs, best of {settings}: {at}"


def snapshot(url: str, seconds: int) -> None:
    """The rate over so many seconds, without and with an old snapshot held elsewhere."""
    heading(f"drain on PostgreSQL for {seconds} s beside an old snapshot")
    jobs = 60_000 * seconds
    fill(url, jobs)
    alone = ours(url, "--max-time", f"{seconds}s", "--batch-size", "1000")
    fill(url, jobs)
    with old_snapshot(url):
        beside = ours(url, "--max-time", f"{seconds}s", "--batch-size", "1000")
    table(
        ("", "jobs/s", "×", ""),
        [("alone", f"{alone:,.0f}", "1", ""), ("old snapshot", f"{beside:,.0f}", f"{beside / alone:.2f}", "")],
    )


def producer(url: str, seconds: float) -> None:
    """A producer's INSERT on MariaDB, alone and beside a drain that finds short batches."""
    heading("a producer's INSERT on MariaDB beside a drain")
    with mariadb_service.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS bench")
        cursor.execute("DROP TABLE IF EXISTS bench.jobs")
        cursor.execute(
            "CREATE TABLE bench.jobs (id bigint AUTO_INCREMENT PRIMARY KEY, status varchar(20) NOT NULL, payload text,"
            " lease varchar(60), lease_until double, attempts int NOT NULL DEFAULT 0, next_at double, failure text)"
        )
        alone = _inserts(cursor, seconds)
        work = ("--where", "status = 'pending'", "--done", "status = 'done'", "--call", "tests.queues.hands:noop")
        stay = ("--poll", "100ms", "--url", url.rstrip("/") + "/bench", "-q")
        drain = subprocess.Popen([sys.executable, "-m", "batchops", "drain", "jobs", *work, *stay], cwd=ROOT)
        while cursor.execute("SELECT 1 FROM bench.jobs WHERE status = 'pending' LIMIT 1"):
            time.sleep(0.1)
        beside = _inserts(cursor, seconds)
        drain.terminate()
        assert drain.wait(30) == 0
    lines = [(name, f"{p99 * 1000:.2f}", f"{p99 / alone[1]:.2f}", f"{n:,} inserts") for name, (n, p99) in
             (("alone", alone), ("beside a drain", beside))]  # fmt: skip
    table(("", "p99 ms", "×", ""), lines)


def _inserts(cursor: Any, seconds: float) -> tuple[int, float]:
    """Two hundred a second, each timed; how many, and the 99th percentile."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.perf_counter()
        cursor.execute("INSERT INTO bench.jobs (status, payload) VALUES ('pending', 'x')")
        times.append(time.perf_counter() - before)
        threading.Event().wait(0.005)
    return len(times), statistics.quantiles(times, n=100)[98]


def main() -> None:
    parser = ArgumentParser("python -m tests.benchmarks.drain", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=30)
    wanted = parser.parse_args()
    with servers.postgresql(None) as url:
        speed(url, wanted.jobs, wanted.pairs)
        snapshot(url, wanted.seconds)
    with servers.mariadb(None) as url:
        producer(url, min(wanted.seconds, 20))


if __name__ == "__main__":
    main()
