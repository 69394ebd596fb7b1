"""`python -m tests.benchmarks.relay`: events/s that leave an outbox, to nowhere, to a file, and wherever is named.

What a relay adds to a destination's own speed is reading in order and marking; /dev/null shows that alone.
"""

import json
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.printing import heading, table
from tests.services import mariadb as mariadb_service

ROOT = Path(__file__).parent.parent.parent
FILL = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < {rows})
SELECT 'order', cast(g % {aggregates} AS {text}), 'Paid', {body} FROM s
"""


def batchops(url: str, *args: str) -> dict[str, Any]:
    """`batchops ARGS…` as a process of its own; its document, if that was asked for."""
    argv = [sys.executable, "-m", "batchops", *args, "--url", url]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout) if "--json" in args else {}
    return found


def fill_postgresql(url: str, rows: int) -> None:
    """A fresh outbox of so many events with bodies of 500 bytes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS outbox")
        batchops(url, "outbox", "init", "--make")
        body = "repeat(md5(cast(g AS text)), 16)"
        connection.execute(FILL.format(rows=rows, aggregates=1_000, text="text", body=body).encode())
        connection.execute("VACUUM ANALYZE outbox")
        connection.execute("CHECKPOINT")


def fill_mariadb(url: str, rows: int) -> None:
    """The same."""
    with closing(mariadb_service.connect(url, autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS outbox")
        batchops(url, "outbox", "init", "--make")
        cursor.execute("SET max_recursive_iterations = 100000000")
        cursor.execute(FILL.format(rows=rows, aggregates=1_000, text="char(20)", body="repeat(md5(g), 16)"))
        cursor.execute("ANALYZE TABLE outbox")
        cursor.fetchall()


@contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    """A session elsewhere that keeps every dead row."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM pg_class")
        yield


def relayed(url: str, to: str, *args: str) -> float:
    """Events a second, by the document's own clock: without the start of a process."""
    told = batchops(url, "relay", "outbox", "--to", to, "--json", *args)
    return float(told["rows"] / told["seconds"])


def measure(name: str, url: str, fill: Callable[[str, int], None], rows: int, runs: int, to: list[str]) -> None:
    """Print one database's table."""
    heading(f"relay on {name}: {rows:,} events, 500-byte bodies, 1,000 aggregates; {runs} runs")
    found = []
    with TemporaryDirectory() as folder:
        for place, args in [
            ("file:/dev/null", ()), ("file:/dev/null", ("--then", "delete")), ("file:/dev/null", ("--slots", "1")),
            (f"file:{folder}/out", ()), *((one, ()) for one in to),
        ]:  # fmt: skip
            speeds = []
            for _ in range(runs):
                fill(url, rows)
                speeds.append(relayed(url, place, *args))
            found.append([" ".join([place.replace(folder, "…"), *args]), f"{statistics.median(speeds):,.0f}/s"])
            print(found[-1], flush=True)
    table(["destination", "events/s"], found)


def main() -> int:
    """Measure PostgreSQL and MariaDB."""
    parser = ArgumentParser("python -m tests.benchmarks.relay")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--to", nargs="*", default=[], help="destinations besides /dev/null and a file")
    parser.add_argument("--on", nargs="+", choices=("postgresql", "mariadb"), default=("postgresql", "mariadb"))
    wanted = parser.parse_args()
    if "postgresql" in wanted.on:
        with servers.postgresql(None) as url:
            measure("PostgreSQL", url, fill_postgresql, wanted.rows, wanted.runs, wanted.to)
    if "mariadb" in wanted.on:
        with servers.mariadb(None) as server:
            with closing(mariadb_service.connect(server, autocommit=True)) as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS batchops_bench")
            url = server.rstrip("/") + "/batchops_bench"
            measure("MariaDB", url, fill_mariadb, wanted.rows, wanted.runs, wanted.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
