"""Customers with orders, items, reviews and visits: a parent, two levels below it, and rows that lose their parent."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bulk.children.oracle import Refers, Rows, left, orphans, read
from tests.bulk.plan.situations import numbers
from tests.services.database import Database

TABLES: Mapping[str, Sequence[str]] = {
    "customers": ("id", "gone", "state"),
    "orders": ("id", "customer_id"),
    "items": ("id", "order_id"),
    "reviews": ("id", "item_id", "customer_id"),
    "visits": ("id", "customer_id"),
}
EDGES = (
    Refers("orders", ("customer_id",), "customers", ("id",)),
    Refers("items", ("order_id",), "orders", ("id",)),
    Refers("reviews", ("item_id",), "items", ("id",)),
    Refers("reviews", ("customer_id",), "customers", ("id",)),
    Refers("visits", ("customer_id",), "customers", ("id",), "null"),
)
RULES = ("NO ACTION", "CASCADE", "NO ACTION", "CASCADE", "SET NULL")
DECLARED = [f"{edge.child}.{edge.columns[0]} -> {edge.parent}.id" for edge in EDGES]
CHOSEN = [f"{edge.child}.{edge.columns[0]} = {edge.action}" for edge in EDGES]
GONE = "gone = 1"


def make(database: Database, customers: int = 60, each: int = 4, *, constraints: bool = True) -> None:
    """Every second customer is gone; each has some orders, each of these some items, each of these a review."""
    types = {name: "integer" for some in TABLES.values() for name in some} | {"state": "varchar(20)"}
    for table, columns in TABLES.items():
        listed = [f"{name} {types[name]}{' NOT NULL PRIMARY KEY' if name == 'id' else ''}" for name in columns]
        keys = [
            f"FOREIGN KEY ({edge.columns[0]}) REFERENCES {edge.parent} (id) ON DELETE {rule}"
            for edge, rule in zip(EDGES, RULES, strict=True)
            if edge.child == table and constraints
        ]
        database.script(f"CREATE TABLE {table} ({', '.join(listed + keys)})")
    for edge in EDGES:
        database.script(f"CREATE INDEX {edge.child}_{edge.columns[0]} ON {edge.child} ({edge.columns[0]})")
    orders, items = customers * each, customers * each * each
    for table, count, values in (
        ("customers", customers, "i, i % 2, 'open'"),
        ("orders", orders, f"i, 1 + i % {customers}"),
        ("items", items, f"i, 1 + i % {orders}"),
        ("reviews", items, f"i, i, 1 + i % {customers}"),
        ("visits", customers, "i, i"),
    ):
        database.execute(f"INSERT INTO {table} SELECT {values} FROM {numbers(database, count)}")


def add_items(database: Database, order: int, count: int, behind: int = 1_000_000) -> None:
    """More items for one order."""
    database.execute(f"INSERT INTO items SELECT {behind} + i, {order} FROM {numbers(database, count)}")


def seen(database: Database) -> Rows:
    """All rows, in one snapshot."""
    return read(database, TABLES)


def wanted(before: Rows, gone: Any = lambda row: row["gone"] == 1) -> Rows:
    """What the rules leave of them."""
    return left(before, "customers", gone, EDGES)


def lost(database: Database) -> dict[str, int]:
    """The orphans there are now."""
    return orphans(seen(database), EDGES)


def job(database: Database, **more: Any) -> dict[str, Any]:
    """The purge as the library takes it."""
    return {"url": database.url, "table": "customers", "where": GONE, "with_children": True} | more
