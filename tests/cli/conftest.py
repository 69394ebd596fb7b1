"""The command line in this process, and a small table to try it on."""

from collections.abc import Callable

import pytest

from tests.command import Batchops, Result
from tests.services.database import Database

Cli = Callable[..., Result]
ROWS = 1000
TABLE = """
CREATE TABLE ev (id integer PRIMARY KEY, kind int NOT NULL, note varchar(100), made timestamp NULL);
CREATE TABLE other (a int, b int);
CREATE VIEW seen AS SELECT * FROM ev;
"""


@pytest.fixture
def cli(batchops: Batchops) -> Cli:
    """`cli("purge", "ev", …)` in this process; with `batchops` beside it for processes."""
    return batchops


@pytest.fixture
def ev(database: Database) -> Database:
    """On each database: ev (a thousand rows, ten kinds), other (no key), seen (a view of ev)."""
    return filled(database)


@pytest.fixture
def lite(sqlite: Database) -> Database:
    """The same in a SQLite file."""
    return filled(sqlite)


def filled(database: Database) -> Database:
    for statement in TABLE.split(";")[:-1]:
        database.execute(statement)
    database.insert("ev", ("id", "kind"), [(n, n % 10) for n in range(1, ROWS + 1)])
    database.execute("INSERT INTO other VALUES (1, 1), (2, 2)")
    return database


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    """What must be as before."""
    return [database.rows(f"SELECT * FROM {table} ORDER BY 1") for table in ("ev", "other")]
