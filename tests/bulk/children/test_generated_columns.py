"""Columns that the database computes: they refer, are referred to, and name rows."""

import pytest

import batchops as library
from tests.bulk.plan.situations import numbers
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS, EACH = 20, 3


def make(database: Database, key: str = "id integer NOT NULL PRIMARY KEY") -> None:
    """Parents by ten times their number; children that compute to which they refer; notes of these."""
    name = key.partition(" ")[0]
    ten = "GENERATED ALWAYS AS (n * 10) STORED"
    database.script(
        "CREATE TABLE parents"
        f" (id integer NOT NULL PRIMARY KEY, n integer NOT NULL, code integer {ten}, UNIQUE (code));"
        f"CREATE TABLE children ({key}, k integer NOT NULL, n integer NOT NULL, code integer {ten},"
        " FOREIGN KEY (code) REFERENCES parents (code));"
        "CREATE INDEX children_code ON children (code);"
        "CREATE TABLE notes (id integer NOT NULL PRIMARY KEY, child integer NOT NULL,"
        f" FOREIGN KEY (child) REFERENCES children ({name}));"
        "CREATE INDEX notes_child ON notes (child)"
    )
    database.execute(f"INSERT INTO parents (id, n) SELECT i, i FROM {numbers(database, ROWS)}")
    own, factor = ("id, ", 1) if name == "id" else ("", 2)
    database.execute(
        f"INSERT INTO children ({own}k, n) SELECT {'i, ' if own else ''}i, 1 + i % {ROWS}"
        f" FROM {numbers(database, ROWS * EACH)}"
    )
    database.execute(f"INSERT INTO notes SELECT i, {factor} * i FROM {numbers(database, ROWS * EACH)}")


def emptied(database: Database) -> None:
    finished = library.purge(url=database.url, table="parents", where="code <= 50", with_children=True, batch_size=15)
    assert (finished.reason, finished.rows) == ("done", 5), finished
    assert finished.families is not None
    assert finished.families.tables == {"parents": 5, "children": 15, "notes": 15}
    assert database.scalar("SELECT min(code) FROM children") == 60
    assert database.scalar("SELECT count(*) FROM notes") == (ROWS - 5) * EACH


def test_they_refer_and_are_referred_to(database: Database) -> None:
    make(database)
    emptied(database)


@pytest.mark.parametrize("name", ["postgresql", "sqlite"])
def test_they_name_rows(new_database: NewDatabase, name: str) -> None:
    """MariaDB takes none that cannot be NULL."""
    database = new_database(name)
    make(database, "twice integer NOT NULL GENERATED ALWAYS AS (k * 2) STORED UNIQUE")
    emptied(database)
