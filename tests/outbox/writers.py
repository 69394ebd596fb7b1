"""Concurrent writers that lock their aggregate and commit after random delays, and what consumers make of it."""

import json
import random
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

import psycopg

from batchops.outbox import Event, save
from tests.services import mariadb, sqlite
from tests.services.database import Database

WRITERS = 16
Write = Callable[[int, float], None]
"""One event of an aggregate, committed after so many seconds."""


def aggregates(database: Database, number: int) -> None:
    """What the events are about: a row each, which a writer locks."""
    database.execute("CREATE TABLE orders (id integer PRIMARY KEY, version integer NOT NULL)")
    database.execute("CREATE TABLE notes (id integer)")
    database.insert("orders", ["id", "version"], [(i, 0) for i in range(number)])


@dataclass(frozen=True)
class Writing:
    """So many events of so many aggregates."""

    events: int
    aggregates: int
    delay: float = 0.01
    lock: str = " FOR UPDATE"
    """How the aggregate's row is locked; empty: it is not."""


def write(database: Database, plan: Writing, table: str = "outbox") -> None:
    """All of them, by 16 writers; returns once the last one has committed."""
    numbers = iter(range(plan.events))
    guard = threading.Lock()
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        try:
            with closing(connected(database)) as connection:
                while True:
                    with guard:
                        if next(numbers, None) is None:
                            return
                    one(connection, draw, plan, table)
        except BaseException as error:  # noqa: BLE001  raised again below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def one(connection: object, draw: random.Random, plan: Writing, table: str) -> None:
    """One event in its own transaction, or now and then one that is rolled back."""
    aggregate, long = draw.randrange(plan.aggregates), draw.random() < 0.02
    cursor = connection.cursor()  # type: ignore[attr-defined]
    serial = isinstance(connection, sqlite3.Connection)
    cursor.execute("BEGIN IMMEDIATE" if serial else "BEGIN")
    cursor.execute("INSERT INTO notes VALUES (1)")  # the transaction has its number before it has the aggregate
    if not serial:
        time.sleep(draw.random() * plan.delay / 4)
    lock = "" if serial else plan.lock
    cursor.execute(f"SELECT version FROM orders WHERE id = {aggregate}{lock}")
    version = cursor.fetchone()[0] + 1
    cursor.execute(f"UPDATE orders SET version = {version} WHERE id = {aggregate}")
    save(connection, Event("order", aggregate, "Changed", {"n": version}), table=table)
    if not serial:
        time.sleep(draw.random() * plan.delay * (20 if long else 1))
    cursor.execute("ROLLBACK" if draw.random() < 0.02 else "COMMIT")


def connected(database: Database) -> object:
    if database.backend == "postgresql":
        return psycopg.connect(database.url, autocommit=True)
    if database.backend == "mysql":
        return mariadb.connect(database.url, autocommit=True)
    return sqlite3.connect(sqlite.path(database.url), isolation_level=None, timeout=60)


@dataclass(frozen=True)
class Verdict:
    """What a consumer found."""

    lost: int
    """Committed and never delivered."""
    phantoms: int
    """Delivered and never committed."""
    inverted: int
    """Delivered for the first time after a later event of the same aggregate."""
    duplicates: int

    @property
    def good(self) -> bool:
        return not (self.lost or self.phantoms or self.inverted)


def verdict(database: Database, delivered: Iterable[tuple[str, str, str]], table: str = "outbox") -> Verdict:
    """The consumer's check of what came, as (id, aggregate, body) in its order."""
    committed = {str(number) for number in database.column(f"SELECT id FROM {table}")}
    times: Counter[str] = Counter()
    newest: dict[str, int] = defaultdict(int)
    inverted = 0
    for number, aggregate, body in delivered:
        times[number] += 1
        if times[number] == 1:
            version = json.loads(body)["n"]
            inverted += version < newest[aggregate]
            newest[aggregate] = max(newest[aggregate], version)
    return Verdict(len(committed - set(times)), len(set(times) - committed), inverted, sum(times.values()) - len(times))
