"""`python -m tests.benchmarks.relay`: events/s that leave an outbox: to nowhere, to a file, and to brokers beside
each one's own client.

What a relay adds to a destination's own speed is reading in order and marking; /dev/null shows that alone.
"""

import json
import statistics
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.printing import heading, table
from tests.outbox.sinks.log import Topic
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import Receiver
from tests.outbox.sinks.stream import Stream
from tests.services import kafka as kafka_service
from tests.services import mariadb as mariadb_service
from tests.services import rabbitmq as rabbitmq_service
from tests.services import redis as redis_service
from tests.services.private import Private

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
        # Before the events, which are young when they are sent: the pages they are in need no second image in the WAL.
        connection.execute("CHECKPOINT")
        batchops(url, "outbox", "init", "--apply")
        body = "repeat(md5(cast(g AS text)), 16)"
        connection.execute(FILL.format(rows=rows, aggregates=1_000, text="text", body=body).encode())
        connection.execute("ANALYZE outbox")


def fill_mariadb(url: str, rows: int) -> None:
    """The same."""
    with closing(mariadb_service.connect(url, autocommit=True)) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS outbox")
        batchops(url, "outbox", "init", "--apply")
        cursor.execute("SET max_recursive_iterations = 100000000")
        cursor.execute(FILL.format(rows=rows, aggregates=1_000, text="char(20)", body="repeat(md5(g), 16)"))
        cursor.execute("ANALYZE TABLE outbox")
        cursor.fetchall()


def relayed(url: str, to: str, *args: str) -> float:
    """Events a second, by the document's own clock: without the start of a process."""
    told = batchops(url, "relay", "outbox", "--to", to, "--json", *args)
    return float(told["rows"] / told["seconds"])


def measure(name: str, url: str, fill: Callable[[str, int], None], rows: int, runs: int) -> None:
    """Print what one database gives to nowhere and to a file."""
    heading(f"relay on {name}: {rows:,} events, 500-byte bodies, 1,000 aggregates; medians of {runs} runs")
    found = []
    with TemporaryDirectory() as folder:
        for place, args in [
            ("file:/dev/null", ()), ("file:/dev/null", ("--after-delivery", "delete")),
            ("file:/dev/null", ("--shards", "1")), (f"file:{folder}/out", ()),
        ]:  # fmt: skip
            speeds = []
            for _ in range(runs):
                fill(url, rows)
                speeds.append(relayed(url, place, *args))
            found.append([" ".join([place.replace(folder, "…"), *args]), f"{statistics.median(speeds):,.0f}/s"])
    table(["destination", "events/s"], found)


def client(name: str, place: Receiver, rows: int, *more: str) -> float:
    """Events a second of a destination's own client, in a process of its own."""
    argv = [sys.executable, "-m", "tests.benchmarks.relay_clients", name, place.url, place.topic, str(rows), *more]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


@dataclass(frozen=True)
class Broker:
    """A kind of destination: its server, a new place on it, and the option that names the place."""

    start: Callable[[], Private]
    place: Callable[[str], Receiver]
    option: str
    share: float
    """Of the rows: what is slow gets fewer."""


BROKERS = {
    "kafka": Broker(kafka_service.private, lambda url: Topic.new(kafka_service.bootstrap(url)), "topic", 1.0),
    "redis": Broker(redis_service.private, Stream, "stream", 1.0),
    "rabbitmq": Broker(rabbitmq_service.private, Queue, "topic", 0.25),
}


def beside_clients(name: str, url: str, fill: Callable[[str, int], None], rows: int, runs: int, to: str) -> None:
    """Print the relay's rate with marking and with deleting beside the client's own, in turn."""
    broker = BROKERS[to]
    rows = round(rows * broker.share)
    heading(f"relay from {name} to {to}: {rows:,} events, 500-byte bodies; medians of {runs} runs")
    own: list[float] = []
    sides: dict[str, list[float]] = {"relay, marks": [], "relay, deletes": []}
    by_hand = name == "PostgreSQL"
    with broker.start() as server:
        for _ in range(runs):
            own.append(client(to, broker.place(server.url), rows))
            for side, args in zip(sides, ((), ("--after-delivery", "delete")), strict=False):
                fill(url, rows)
                place = broker.place(server.url)
                sides[side].append(relayed(url, f"{place.url}?{broker.option}={place.topic}", *args))
            if by_hand:
                fill(url, rows)
                place = broker.place(server.url)
                sides.setdefault("shortest loop by hand, marks", []).append(client(f"{to}_by_hand", place, rows, url))
    hand = sides.get("shortest loop by hand, marks", own)
    lines = [["the client alone", f"{statistics.median(own):,.0f}", "1", "", ""]]
    for side, speeds in sides.items():
        ratios, beside = ([one / base for one, base in zip(speeds, whole, strict=True)] for whole in (own, hand))
        spread = f"{min(beside):.2f} to {max(beside):.2f}" if by_hand else ""
        by = f"{statistics.median(beside):.2f}" if by_hand else ""
        lines.append([side, f"{statistics.median(speeds):,.0f}", f"{statistics.median(ratios):.2f}", by, spread])
    table(["side", "events/s", "× client", "× by hand", ""], lines)


def main() -> int:
    """Measure PostgreSQL and MariaDB."""
    parser = ArgumentParser("python -m tests.benchmarks.relay")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--to", nargs="*", choices=["files", *BROKERS], default=["files", *BROKERS])
    parser.add_argument("--on", nargs="+", choices=("postgresql", "mariadb"), default=("postgresql", "mariadb"))
    wanted = parser.parse_args()
    if "postgresql" in wanted.on:
        with servers.postgresql(None) as url:
            _measure_all("PostgreSQL", url, fill_postgresql, wanted)
    if "mariadb" in wanted.on:
        with servers.mariadb(None) as server:
            with closing(mariadb_service.connect(server, autocommit=True)) as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS batchops_bench")
            _measure_all("MariaDB", server.rstrip("/") + "/batchops_bench", fill_mariadb, wanted)
    return 0


def _measure_all(name: str, url: str, fill: Callable[[str, int], None], wanted: Namespace) -> None:
    for to in wanted.to:
        if to == "files":
            measure(name, url, fill, wanted.rows, wanted.runs)
        else:
            beside_clients(name, url, fill, wanted.rows, wanted.runs, to)


if __name__ == "__main__":
    sys.exit(main())
