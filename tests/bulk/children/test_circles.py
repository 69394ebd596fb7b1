"""Rows that refer to each other in a circle and can only go together: what a batch and the limits must leave them."""

from pathlib import Path
from typing import Any

import pytest

import batchops as library
from tests.bulk.plan.situations import ALL, numbers
from tests.command import here
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


def circles(database: Database, size: int, *, null: bool) -> dict[str, Any]:
    """Two owners with a circle each, and one without; a job that takes all of them."""
    sqlite, filled = database.url.startswith("sqlite"), "" if null else " NOT NULL"
    database.script(f"""
        CREATE TABLE owners (id integer NOT NULL PRIMARY KEY);
        CREATE TABLE nodes (id integer NOT NULL PRIMARY KEY, owner_id integer, next_id integer{filled}
            {"REFERENCES nodes (id) DEFERRABLE INITIALLY DEFERRED" if sqlite else ""},
            FOREIGN KEY (owner_id) REFERENCES owners (id));
        CREATE INDEX nodes_owner ON nodes (owner_id);
        CREATE INDEX nodes_next ON nodes (next_id);
    """)
    owner = f"CASE WHEN i > {size} THEN 2 ELSE 1 END"
    next_id = f"CASE WHEN i % {size} = 0 THEN i - {size} ELSE i END + 1"
    database.execute(f"INSERT INTO owners SELECT i FROM {numbers(database, 3)}")
    database.execute(f"INSERT INTO nodes SELECT i, {owner}, {next_id} FROM {numbers(database, 2 * size)}")
    if not sqlite:
        database.script("ALTER TABLE nodes ADD FOREIGN KEY (next_id) REFERENCES nodes (id)")
    return {"url": database.url, "table": "owners", "all_rows": True, "with_children": True}


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("verb", [library.archive, library.purge])
def test_a_limit_below_one_circle(new_database: NewDatabase, tmp_path: Path, name: str, verb: Any) -> None:
    """It says so, whatever the limit has left by then; where a later run has more room, that ends this one."""
    database = new_database(name)
    job = circles(database, 20, null=verb is library.archive)
    if verb is library.archive:
        job |= {"to": f"{tmp_path}/", "format": "jsonl"}
    elif name == "mariadb":
        pytest.skip("MariaDB deletes no circle that cannot be broken")
    for most in (5, 15):
        few = verb(**job, max_total=most, **({"batch_size": 100} if most == 15 else {}))
        assert (few.reason, few.exit, few.rejected) == ("incomplete", 3, 2), few
        (cause,) = few.rejected_causes
        assert f"larger than --max-total {most}: raise it" in cause.reason
        assert database.scalar("SELECT count(*) FROM nodes") == 40
    one = verb(**job, max_total=25)
    assert (one.reason, one.exit, one.rejected) == ("max-total", 0, 0), one
    assert database.scalar("SELECT count(*) FROM nodes") == 20
    rest = verb(**job, max_total=25)
    assert (rest.reason, rest.rejected, database.scalar("SELECT count(*) FROM nodes")) == ("done", 0, 0), rest


def test_a_circle_larger_than_the_pace_goes_at_once(new_database: NewDatabase) -> None:
    """A slow server made batches smaller, and its parents were rejected for that."""
    database = new_database("sqlite")
    job = circles(database, 700, null=False)
    finished = library.purge(**job, target_time="1ms")
    assert (finished.reason, finished.rows, finished.rejected) == ("done", 3, 0), finished


@pytest.mark.parametrize("children", [True, False])
def test_a_circle_that_the_server_keeps(new_database: NewDatabase, children: bool) -> None:
    """MariaDB checks each row, and the reference cannot be NULL: the plan says so before the server would."""
    database = new_database("mariadb")
    job = circles(database, 3, null=False)
    database.execute("INSERT INTO nodes VALUES (100, 3, 100)")  # refers to itself
    if not children:
        job |= {"table": "nodes", "with_children": False}
    before = database.scalar("SELECT count(*) FROM nodes")
    words = ["--with-children"] if children else []
    planned = here("purge", job["table"], "--all-rows", *words, "-n", "--url", database.url)
    assert 'Rows of "nodes" that refer to each other in a circle' in planned.out
    finished = library.purge(**job)
    assert (finished.reason, finished.rows) == ("incomplete", 0), finished
    assert {"cannot be set to NULL" in one.reason for one in finished.rejected_causes} == {True}
    assert database.scalar("SELECT count(*) FROM nodes") == before


def test_a_limit_below_a_circle_of_the_table_itself(new_database: NewDatabase) -> None:
    database = new_database("sqlite")
    circles(database, 20, null=False)
    job = {"url": database.url, "table": "nodes", "all_rows": True}
    few = library.purge(**job, max_rows=5)
    assert (few.reason, few.exit, few.rows) == ("incomplete", 3, 0), few
    assert "larger than --max-rows 5: raise it" in few.rejected_causes[0].reason
    assert library.purge(**job).reason == "done"
