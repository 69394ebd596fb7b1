"""The sample databases Chinook and Sakila, filled with made-up rows: what a purge leaves is what the rules leave."""

import random
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from tests.bulk.children.oracle import Refers, Rows, left, read
from tests.bulk.children.test_applications import CHINOOK, SAKILA
from tests.bulk.children.test_graph import make
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
EACH = 40


def fill(database: Database) -> tuple[dict[str, list[str]], list[Refers]]:
    """Fill every table with rows that refer to rows that are there; columns by table, and what refers to what."""
    chance, inspector = random.Random(7), sa.inspect(database.engine)
    tables = {table: inspector.get_columns(table) for table, _ in inspector.get_sorted_table_and_fkc_names() if table}
    edges = [
        Refers(table, tuple(key["constrained_columns"]), key["referred_table"], tuple(key["referred_columns"]),
               "null" if key["options"].get("ondelete") == "SET NULL" else "delete")
        for table in tables
        for key in inspector.get_foreign_keys(table)
    ]  # fmt: skip
    refers = {(edge.child, edge.columns[0]): edge for edge in edges}
    rows: Rows = {}
    for table, columns in tables.items():
        primary = inspector.get_pk_constraint(table)["constrained_columns"]
        made = dict[tuple[Any, ...], dict[str, Any]]()
        for number in range(EACH):
            row = {one["name"]: _value(chance, one, refers.get((table, one["name"])), rows, number) for one in columns}
            made.setdefault(tuple(row[name] for name in primary), row)
        rows[table] = list(made.values())
        names = [one["name"] for one in columns]
        database.insert(table, names, [[row[name] for name in names] for row in rows[table]])
    return {table: [one["name"] for one in columns] for table, columns in tables.items()}, edges


def _value(chance: random.Random, column: Any, edge: Refers | None, rows: Rows, number: int) -> Any:
    if edge is None:
        return number if isinstance(column["type"], sa.Integer) else "1"
    there = [row[edge.referred[0]] for row in rows.get(edge.parent, ())]
    if not there or (column["nullable"] and chance.random() < 0.2):
        return None
    return chance.choice(there)


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("tables", "root", "key"),
    [
        (CHINOOK, "artist", "artist_id"),
        (SAKILA, "customer", "customer_id"),
        pytest.param(CHINOOK, "customer", "customer_id", marks=pytest.mark.full),
        pytest.param(SAKILA, "language", "language_id", marks=pytest.mark.full),
        pytest.param(SAKILA, "country", "country_id", marks=pytest.mark.full),
    ],
)
def test_what_is_left(database: Database, tables: str, root: str, key: str) -> None:
    make(database, tables)
    columns, edges = fill(database)
    before = read(database, columns)
    wanted = left(before, root, lambda row: row[key] % 3 == 0, edges)
    finished = library.purge(
        url=database.url, table=root, where=f"{key} % 3 = 0", with_children=True, batch_size=20, allow=["fk-index"]
    )
    assert finished.reason == "done", finished
    assert read(database, columns) == wanted
