"""Readers of an outbox as they are often written, each of them wrong; on PostgreSQL."""

import random
import threading
import time
from collections.abc import Callable

import psycopg

from batchops.outbox import Event, save
from tests.services.database import Database

Delivered = list[tuple[str, str, str]]
Reader = Callable[["Scene"], None]
COLUMNS = "id::text AS number, aggregate_id, payload"
FENCE = "xid < pg_snapshot_xmin(pg_current_snapshot())"
XID = "xid::text::bigint"


class Scene:
    """What a reader reads, where it delivers, and whether the writers have ended."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.delivered: Delivered = []
        self.over = threading.Event()

    def connection(self) -> "psycopg.Connection[tuple[str, ...]]":
        return psycopg.connect(self.database.url, autocommit=True)

    def overtake(self) -> None:
        """What writers do to each other now and then, by transactions held open: here it happens however slow all is.

        The one with the later number has the earlier event, of another aggregate and of the same.
        """
        with self.connection() as early, self.connection() as late:
            _begin(early, late)
            save(late, Event("order", "held", "Changed", {"n": 1}))
            save(early, Event("order", "seen", "Changed", {"n": 1}))
            early.execute("COMMIT")
            while not any(aggregate == "seen" for _, aggregate, _ in self.delivered):
                time.sleep(0.01)
            late.execute("COMMIT")
            _begin(early, late)
            save(late, Event("order", "both", "Changed", {"n": 1}))
            late.execute("COMMIT")
            save(early, Event("order", "both", "Changed", {"n": 2}))
            early.execute("COMMIT")
        with self.connection() as backlog, backlog.transaction():
            save(backlog, [Event("order", "many", "Changed", {"n": number}) for number in range(1, 201)])


def _begin(*connections: "psycopg.Connection[tuple[str, ...]]") -> None:
    """Each has its number at once, in this order."""
    for connection in connections:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO notes VALUES (1)")


def by_id(scene: Scene) -> None:
    """`id > cursor`: what commits late is behind the cursor."""
    _follow(scene, "", "id > %s", lambda row: int(row[0]), 0, "id")


def by_id_with_a_fence(scene: Scene) -> None:
    """The same, only rows of transactions older than every running one: those between are never come back to."""
    _follow(scene, "", f"id > %s AND {FENCE}", lambda row: int(row[0]), 0, "id")


def by_transaction(scene: Scene) -> None:
    """`(xid, id) > cursor` with the fence: nothing is lost, but transactions are numbered before they lock."""
    where = f"({XID}, id) > (%s, %s) AND {FENCE}"
    _follow(scene, f", {XID}", where, lambda row: (int(row[3]), int(row[0])), (0, 0), f"{XID}, id")


def _follow(
    scene: Scene, more: str, where: str, key: Callable[[tuple[str, ...]], object], cursor: object, order: str
) -> None:
    with scene.connection() as connection:
        last = 0
        while last < 2:
            # The fence is the whole server's: transactions of others hold it back for a while.
            last += scene.over.is_set() and passed(connection)
            values = list(cursor) if isinstance(cursor, tuple) else [cursor]
            query = f"SELECT {COLUMNS}{more} FROM outbox WHERE {where} ORDER BY {order} LIMIT 100"
            rows = connection.execute(query.encode(), values).fetchall()
            if rows:
                last = 0
                cursor = key(rows[-1])
                scene.delivered += [(row[0], row[1], row[2]) for row in rows]
            else:
                time.sleep(0.002)


def passed(connection: "psycopg.Connection[tuple[str, ...]]") -> bool:
    """Whether the fence is behind every row."""
    return connection.execute(f"SELECT FROM outbox WHERE NOT ({FENCE}) LIMIT 1".encode()).fetchone() is None


def four_that_skip_locked(scene: Scene) -> None:
    """Four at once, each with the rows that no other has locked: an aggregate's events are with two of them."""
    threads = [threading.Thread(target=_skipping, args=(scene,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _skipping(scene: Scene) -> None:
    claim = f"SELECT {COLUMNS} FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED"
    last = 0
    with scene.connection() as connection:
        while last < 2:
            last += scene.over.is_set()
            with connection.transaction():
                rows = connection.execute(claim.encode()).fetchall()
                if rows:
                    last = 0
                    time.sleep(random.random() * 0.01)  # a broker's answer takes its time
                    scene.delivered += [(row[0], row[1], row[2]) for row in rows]
                    ids = [int(row[0]) for row in rows]
                    connection.execute("UPDATE outbox SET sent_at = now() WHERE id = ANY(%s)", [ids])


def one_that_follows_the_flag(scene: Scene) -> None:
    """The right one, as simple as it can be: what is unsent, in order, by one reader."""
    last = 0
    with scene.connection() as connection:
        while last < 2:
            last += scene.over.is_set()
            query = f"SELECT {COLUMNS} FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT 100"
            rows = connection.execute(query.encode()).fetchall()
            if rows:
                last = 0
                scene.delivered += [(row[0], row[1], row[2]) for row in rows]
                connection.execute("UPDATE outbox SET sent_at = now() WHERE id = ANY(%s)", [[int(r[0]) for r in rows]])
            else:
                time.sleep(0.002)
