"""A purge with children beside the best two statements by hand, and beside families row by row; chains; PostgreSQL."""

import time
from argparse import Namespace
from contextlib import closing

from tests.benchmarks import gentle, tool
from tests.benchmarks.databases import Database, Open
from tests.benchmarks.sides import Side, SideFailedError, Timing
from tests.benchmarks.speed import compared, renewed_with, statement

ORDERS, EACH = 100_000, 10
ONE_BY_ONE = 2_000
"""Orders of the side that takes one at a time: its time counts for all of them."""
CHAINED, LONG = 60_000, 50
OTHERS = 100_000
"""Rows of the table that others work on meanwhile."""
BY_HAND = 500
"""Orders in a batch of the statements by hand: with their items about 5,000 rows."""


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print a table for each; False if a side failed."""
    with opened() as database:
        database.fill(10)
        fine = _orders(database, wanted) & _chains(database, wanted)
        database.fill(OTHERS)
        return fine & _gently(database, wanted)


def _gently(database: Database, wanted: Namespace) -> bool:
    """The latencies of those who work on another table of the same server."""
    orders = int(ORDERS * wanted.scale)

    def at_once(_: Database) -> gentle.Window:
        start = time.time()
        statement(database, "DELETE FROM items; DELETE FROM orders")
        return start, time.time()

    def purged(_: Database) -> gentle.Window:
        timing = _purged(database, "orders", "--with-children")
        return time.time() - timing.seconds, time.time()

    return gentle.compared(
        f"children: {orders:,} orders with {orders * EACH:,} items", database, OTHERS,
        {gentle.ONE: at_once, "batchops purge": purged}, wanted, lambda: _renew_orders(database, orders),
    )  # fmt: skip


def _orders(database: Database, wanted: Namespace) -> bool:
    orders = int(ORDERS * wanted.scale)
    by_hand = Side("two statements a batch", lambda: _by_hand(database, orders, BY_HAND))
    sides = [
        Side("purge", lambda: _purged(database, "orders", "--with-children")),
        Side("purge by 5000", lambda: _purged(database, "orders", "--with-children", "--batch-size", "5000")),
        Side("the same promises by hand", lambda: _as_safe(database, orders)),
        Side("row by row", lambda: _row_by_row(database, orders)),
    ]
    title = f"children: {orders:,} orders with {orders * EACH:,} items"
    return compared(title, by_hand, sides, lambda: _renew_orders(database, orders), wanted)


def _renew_orders(database: Database, orders: int) -> None:
    renewed_with(
        database,
        f"CREATE TABLE orders AS SELECT i AS id, repeat('x', 50) AS x FROM generate_series(1, {orders}) i;"
        "ALTER TABLE orders ADD PRIMARY KEY (id);"
        f"CREATE TABLE items AS SELECT i AS id, 1 + (i - 1) / {EACH} AS order_id, repeat('x', 50) AS x"
        f" FROM generate_series(1, {orders * EACH}) i;"
        "ALTER TABLE items ADD PRIMARY KEY (id), ADD FOREIGN KEY (order_id) REFERENCES orders (id);"
        "CREATE INDEX items_order ON items (order_id)",
    )


def _chains(database: Database, wanted: Namespace) -> bool:
    rows = int(CHAINED * wanted.scale)

    def renew() -> None:
        renewed_with(
            database,
            f"CREATE TABLE c AS SELECT i AS id, CASE WHEN i % {LONG} <> 1 THEN i - 1 END AS up,"
            f" repeat('x', 50) AS x FROM generate_series(1, {rows}) i;"
            "ALTER TABLE c ADD PRIMARY KEY (id), ADD FOREIGN KEY (up) REFERENCES c (id); CREATE INDEX c_up ON c (up)",
        )

    one = Side("one DELETE", lambda: statement(database, "DELETE FROM c"))
    sides = [Side("purge", lambda: _purged(database, "c"))]
    return compared(f"children: {rows:,} rows in chains of {LONG}", one, sides, renew, wanted)


def _by_hand(database: Database, orders: int, size: int) -> Timing:
    """What a person would write who knows the keys: items of a range of orders, then the orders."""
    begun = time.perf_counter()
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        for first in range(1, orders + 1, size):
            within = f"BETWEEN {first} AND {first + size - 1}"
            cursor.execute(f"DELETE FROM items WHERE order_id {within}")
            cursor.execute(f"DELETE FROM orders WHERE id {within}")
            connection.commit()
    return Timing(time.perf_counter() - begun, orders, f"{size} orders a batch")


def _as_safe(database: Database, orders: int) -> Timing:
    """As by hand, but with what a purge promises: parents locked, no more rows than a batch may have, progress kept."""
    begun, last = time.perf_counter(), 0
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("CREATE TABLE progress (last integer)")
        cursor.execute("INSERT INTO progress VALUES (0)")
        while True:
            cursor.execute(f"SELECT id FROM orders WHERE id > {last} ORDER BY id LIMIT {BY_HAND} FOR UPDATE")
            ids = [row[0] for row in cursor.fetchall()]
            if not ids:
                break
            keys, last = ", ".join(map(str, ids)), ids[-1]
            few = f"SELECT FROM items WHERE order_id IN ({keys}) LIMIT {2 * EACH * BY_HAND}"
            cursor.execute(f"SELECT count(*) FROM ({few}) counted")
            cursor.execute(f"DELETE FROM items WHERE order_id IN ({keys})")
            cursor.execute(f"DELETE FROM orders WHERE id IN ({keys})")
            cursor.execute(f"UPDATE progress SET last = {last}")
            connection.commit()
        cursor.execute("DROP TABLE progress")
        connection.commit()
    return Timing(time.perf_counter() - begun, orders, f"{BY_HAND} orders a batch")


def _row_by_row(database: Database, orders: int) -> Timing:
    """One family after the other, each with a commit of its own."""
    some = min(orders, ONE_BY_ONE)
    taken = _by_hand(database, some, 1).seconds
    return Timing(taken * orders / some, orders, f"{some:,} of them measured")


def _purged(database: Database, table: str, *options: str) -> Timing:
    run = tool.ran("purge", table, "--url", database.url, "--all-rows", *options, exits=(0,))
    if run.document["reason"] != "done":
        raise SideFailedError(str(run.document["reason"]))
    return Timing(run.document["seconds"], run.document["rows"], f"{run.document['batches']} batches")
