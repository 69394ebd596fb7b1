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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
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


def bare(url: str, jobs: int, size: int, workers: int = 1) -> float:
    """The same claims by psycopg alone, each worker's from where its last one ended; jobs/s."""
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url)) for _ in range(workers)]
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        before = time.perf_counter()
        done = sum(pool.map(partial(_bare, size), connections, map(str, range(workers))))
        seconds = time.perf_counter() - before
    assert done == jobs
    return jobs / seconds


def _bare(size: int, connection: psycopg.Connection[Any], token: str) -> int:
    """Leases and commits, does nothing, finalises the rows whose lease still holds and commits; the rows that are done.

    It promises less than a drain, to be no slower than any loop by hand: it renews no lease, rescues no row whose
    worker died, bounds no memory, sets no timeouts, and does not prove that a marked row is pending no more. Nor would
    it work behind a pooler of transactions: psycopg prepares both statements on the server.
    """
    done, low = 0, 0
    while True:
        rows = connection.execute(CLAIM, (low, size, token)).fetchall()
        connection.commit()
        if not rows and not low:
            return done
        if not rows:
            low = 0  # what became free behind the last claim
            continue
        ids = [row[0] for row in rows]
        done += len(connection.execute(FINALISE, (ids, token)).fetchall())
        connection.commit()
        low = max(ids)


def ours(url: str, *args: str) -> float:
    """`batchops drain` with a handler that does nothing, by its own document; jobs/s."""
    work = ("--where", "status = 'pending'", "--done", "status = 'done'", "--call", "tests.queue.functions:noop")
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
    """Every side in turn, so that a noisy machine disturbs all alike; medians, and of the ratios within a turn."""
    heading(f"drain on PostgreSQL: {jobs:,} jobs, nothing to do for each")
    sides: dict[str, Callable[[], float]] = {
        "batchops drain": lambda: ours(url),
        "bare psycopg, 1,000 a claim": lambda: bare(url, jobs, 1_000),
    }
    sides |= {f"batchops drain, {n} workers": partial(ours, url, "--workers", str(n)) for n in (2, 4)}
    for name, settings, most in (("pgqueuer", (10, 100, 1_000), 20_000), ("procrastinate", (1, 10, 30), 2_000)):
        count = min(jobs, most)
        tried = {setting: peer(name, url, count, setting) for setting in settings}
        best = max(tried, key=tried.__getitem__)
        if tried[best]:
            sides[f"{name}, {count:,} jobs, best of {settings}: {best}"] = partial(peer, name, url, count, best)
    turns = _turns(url, jobs, pairs, sides)
    table(("side", "jobs/s", "batchops ×", "its best ×"), [_line(name, turns) for name in sides])


def by_hand(url: str, jobs: int, pairs: int) -> None:
    """The same promises with the same batches, by the tool and by hand."""
    heading(f"drain on PostgreSQL beside the same by hand in psycopg: {jobs:,} jobs, pairs in one run")
    lines = []
    for workers, size in ((1, 500), (2, 500), (2, 1_000)):
        fixed = ("--workers", str(workers), "--batch-size", str(size))
        sides = {"hand": partial(bare, url, jobs, size, workers), "batchops": partial(ours, url, *fixed)}
        turns = _turns(url, jobs, pairs, sides)
        rates = [f"{statistics.median(turn[side] for turn in turns):,.0f}" for side in sides]
        ratios = [turn["batchops"] / turn["hand"] for turn in turns]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append((f"{workers} workers, {size:,} rows", *rates, f"{statistics.median(ratios):.2f}", spread))
    table(("batches", "by hand", "batchops", "×", ""), lines)


def _turns(url: str, jobs: int, pairs: int, sides: dict[str, Callable[[], float]]) -> list[dict[str, float]]:
    """Each side's rate on a fresh table, in turn."""
    turns: list[dict[str, float]] = []
    for turn in range(pairs):
        turns.append({})
        for name, side in sides.items():
            say(f"{name}: {turn + 1}")
            fill(url, jobs)
            turns[-1][name] = side()
    return turns


def _line(name: str, turns: list[dict[str, float]]) -> tuple[str, ...]:
    """With the ratio of one worker, and of the best number of workers: peers are tried in several settings too."""
    rates = {side: statistics.median(turn[side] for turn in turns) for side in turns[0]}
    best = max((side for side in rates if side.startswith("batchops")), key=rates.__getitem__)
    ratios = [statistics.median(turn[side] / turn[name] for turn in turns) for side in ("batchops drain", best)]
    return name, f"{rates[name]:,.0f}", *(f"{ratio:.2f}" for ratio in ratios)


def peer(name: str, url: str, jobs: int, setting: int) -> float:
    """A peer in a process of its own; jobs/s, 0 where it is not there or did not do its work."""
    say(f"{name}: {setting}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.drain_peers", name, url, str(jobs), str(setting)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if done.returncode:
        say(f"{name} is left out: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
        return 0.0
    return float(done.stdout.split()[-1])


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
        work = ("--where", "status = 'pending'", "--done", "status = 'done'", "--call", "tests.queue.functions:noop")
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
    parser.add_argument("--only", choices=("hand", "speed", "snapshot", "producer"), help="one table")
    wanted = parser.parse_args()
    with servers.postgresql(None) as url:
        if wanted.only in (None, "hand"):
            by_hand(url, wanted.jobs, wanted.pairs)
        if wanted.only in (None, "speed"):
            speed(url, wanted.jobs, wanted.pairs)
        if wanted.only in (None, "snapshot"):
            snapshot(url, wanted.seconds)
    if wanted.only in (None, "producer"):
        with servers.mariadb(None) as url:
            producer(url, min(wanted.seconds, 20))


if __name__ == "__main__":
    main()
