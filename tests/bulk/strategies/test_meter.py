"""Which reads make a run change its strategy: those of its table and of its condition, and no others."""

from typing import Any

import pytest

import batchops as library
from batchops.events import Warned
from tests.bulk.plan.situations import numbers
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS, OTHERS, SIZE = 3_000, 6_000, 40


def make(database: Database) -> None:
    """`t`, and a table that refers to it without an index: PostgreSQL reads it whole for each row that goes."""
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i, i % 4 FROM {numbers(database, ROWS)}")
    database.script("CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t integer, FOREIGN KEY (t) REFERENCES t (id))")
    database.execute(f"INSERT INTO c SELECT i, 4 FROM {numbers(database, OTHERS)}")


def warned(database: Database, **more: Any) -> tuple[str, int, list[str]]:
    events = list[object]()
    done = library.purge(
        url=database.url, table="t", batch_size=SIZE, allow=["fk-index", "scan"], on_event=events.append, **more
    )
    texts = [event.message for event in events if isinstance(event, Warned)]
    return done.reason, done.rows, [text for text in texts if "reads" in text or "continues" in text]


@pytest.mark.parametrize("strategy", ["key", "match"])
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_child_without_an_index_changes_no_strategy(new_database: NewDatabase, name: str, strategy: str) -> None:
    database = new_database(name)
    make(database)
    assert warned(database, where="kind = 1", strategy=strategy) == ("done", ROWS // 4, [])


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_what_the_condition_reads_of_another_table_counts(new_database: NewDatabase, name: str) -> None:
    database = new_database(name)
    make(database)
    where = f"kind = 1 AND (SELECT count(*) FROM c WHERE c.id <> t.id) >= {OTHERS - 1}"
    reason, rows, texts = warned(database, where=where, strategy="key")
    assert (reason, rows) == ("done", ROWS // 4)
    assert "those of other tables included" in texts[0]
