"""Graphs drawn at random, against the oracle: whatever the size of a batch, what is left is what the rules leave."""

import pytest

import batchops as library
from tests.bulk.children.generated import draw
from tests.bulk.children.oracle import left, orphans, read
from tests.bulk.plan.situations import ALL
from tests.conftest import NewDatabase


def purged(database_name: str, new_database: NewDatabase, seed: int, tables: int, rows: int, size: int) -> None:
    """Purge one, and compare."""
    drawn, database = draw(seed, tables, rows), new_database(database_name)
    drawn.make(database)
    before = read(database, drawn.tables)
    wanted = left(before, "t0", lambda row: row["gone"] == 1, drawn.edges)
    finished = library.purge(
        url=database.url, table="t0", where="gone = 1", with_children=True, batch_size=size, allow=["fk-index"]
    )
    assert finished.reason == "done", finished
    assert read(database, drawn.tables) == wanted
    assert not orphans(wanted, drawn.edges)
    gone = {table: len(before[table]) - len(wanted[table]) for table in drawn.tables}
    assert finished.rows == gone["t0"], "those that refer to rows that go among them"
    assert finished.families is not None
    nulled = {edge.child for edge in drawn.edges if edge.action == "null"} | {
        edge.child for edge in drawn.edges if edge.parent > edge.child
    }
    for table, rows_gone in gone.items():
        said = finished.families.tables.get(table, 0)
        assert said == rows_gone or (table in nulled and said >= rows_gone), table


@pytest.mark.wide(2)
@pytest.mark.in_turn
@pytest.mark.parametrize("database", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_is_what_the_rules_leave(database: str, new_database: NewDatabase, seed: int) -> None:
    purged(database, new_database, seed, tables=8, rows=30, size=(5, 40, 1000)[seed % 3])


@pytest.mark.full
@pytest.mark.parametrize("database", ALL)
@pytest.mark.parametrize("seed", range(3, 20))
def test_more_graphs(database: str, new_database: NewDatabase, seed: int) -> None:
    purged(database, new_database, seed, tables=8, rows=30, size=(5, 40, 1000)[seed % 3])


@pytest.mark.full
@pytest.mark.parametrize("database", ALL)
@pytest.mark.parametrize("seed", range(100, 104))
def test_sixty_tables(database: str, new_database: NewDatabase, seed: int) -> None:
    purged(database, new_database, seed, tables=60, rows=60, size=(50, 400)[seed % 2])
