"""Random and sequence values in --set: each row is given one of its own, once, and the plan shows it first."""

import pytest

import batchops as library
from tests.bulk.plan.situations import numbers
from tests.command import here
from tests.conftest import NewDatabase

pytestmark = pytest.mark.in_turn

ROWS = 500
SEQUENCE = "CREATE SEQUENCE numbers_of_its_own"
FRESH = [
    ("postgresql", "uuid", "gen_random_uuid()"),
    ("postgresql", "bigint", "nextval('numbers_of_its_own')"),
    ("postgresql", "double precision", "random()"),
    ("mariadb", "uuid", "UUID()"),
    ("mariadb", "bigint", "NEXT VALUE FOR numbers_of_its_own"),
    ("mariadb", "bigint", "nextval(numbers_of_its_own)"),
    ("mariadb", "double", "rand()"),
    ("sqlite", "text", "lower(hex(randomblob(16)))"),
]


@pytest.mark.wide(3)
@pytest.mark.parametrize(("family", "type_", "value"), FRESH)
def test_each_row_gets_a_value_of_its_own(new_database: NewDatabase, family: str, type_: str, value: str) -> None:
    database = new_database(family)
    if "numbers_of" in value:
        database.execute(SEQUENCE)
    database.execute(f"CREATE TABLE users (id integer PRIMARY KEY, token {type_}, times integer DEFAULT 0)")
    database.execute(f"INSERT INTO users (id) SELECT i FROM {numbers(database, ROWS)}")
    job = ("backfill", "users", "--all-rows", "--set", f"token = {value}", "--set", "times = times + 1")
    planned = here(*job, "--url", database.url, "--dry-run", "--json")
    assert (planned.code, bool(planned.json()["plan"]["explain"])) == (0, True), planned
    first = library.backfill(
        url=database.url, table="users", all_rows=True, batch_size=100, max_batches=2,
        set=[f"token = {value}", "times = times + 1"],
    )  # fmt: skip
    assert first.reason == "max-batches"
    done = here(*job, "--batch-size", "100", "--url", database.url, "--yes", "--json")
    assert (done.code, done.json()["rows"]) == (0, ROWS), done
    assert database.rows("SELECT count(DISTINCT token), min(times), max(times) FROM users") == [(ROWS, 1, 1)]
    again = here(*job, "--url", database.url, "--yes", "--json")
    assert again.json()["reason"] == "already-done"


@pytest.mark.parametrize("condition", ["token < NEXT VALUE FOR numbers_of_its_own", "token < nextval(numbers)"])
def test_none_in_a_condition(new_database: NewDatabase, condition: str) -> None:
    database = new_database("mariadb")
    database.script(f"{SEQUENCE}; CREATE TABLE users (id integer PRIMARY KEY, token bigint)")
    told = here("purge", "users", "--where", condition, "--url", database.url, "--dry-run")
    assert (told.code, "it may be used only in --set" in told.err) == (2, True), told
