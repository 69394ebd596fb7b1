"""A condition that the server cannot evaluate for one of the rows: said with the row, and before the first write."""

import pytest

import batchops as library
from batchops.errors import UsageError
from batchops.events import Committed, Event
from tests.bulk.plan.situations import numbers
from tests.conftest import NewDatabase
from tests.databases.numbered import Job
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 3_000
BAD = 2_777
FAILS = {
    "postgresql": {
        "a division": ("1000 / n > 20", "division by zero"),
        "a cast": ("CAST(words AS integer) > 5", 'invalid input syntax for type integer: "x"'),
        "a cast by ::": ("words::integer > 5", 'invalid input syntax for type integer: "x"'),
        "a document": ("(words::json ->> 0) IS NULL", "invalid input syntax for type json"),
    },
    "sqlite": {
        "a document": ("json_extract(words, '$') > 5", "malformed JSON"),
        "a number out of range": ("abs(CASE n WHEN 0 THEN -9223372036854775808 ELSE n END) > 5", "integer overflow"),
    },
}
CASES = [(family, name) for family, some in FAILS.items() for name in some]


def events(new_database: NewDatabase, family: str) -> Database:
    """Of which one has no divisor, and x for a number."""
    database = new_database(family)
    database.script(
        "CREATE TABLE events (id integer NOT NULL PRIMARY KEY, n bigint NOT NULL, words varchar(9) NOT NULL)"
    )
    bad = f"CASE WHEN i = {BAD} THEN 0 ELSE 1 + i % 9 END, CASE WHEN i = {BAD} THEN 'x' ELSE '12' END"
    database.execute(f"INSERT INTO events SELECT i, {bad} FROM {numbers(database, ROWS)}")
    return database


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_plan_finds_it(new_database: NewDatabase, family: str, name: str) -> None:
    database, (where, reason) = events(new_database, family), FAILS[family][name]
    with pytest.raises(UsageError) as caught:
        library.purge(url=database.url, table="events", where=where)
    assert reason in caught.value.message
    assert "CASE WHEN" in caught.value.hint
    assert database.scalar("SELECT count(*) FROM events") == ROWS


@pytest.mark.parametrize("family", list(FAILS))
@pytest.mark.parametrize(
    ("verb", "strategy"),
    [
        ("purge", "key"),
        *(pytest.param("purge", walk, marks=pytest.mark.full) for walk in ("auto", "limit")),
        pytest.param("backfill", "key", marks=pytest.mark.full),
    ],
)
def test_a_run_names_the_condition_and_the_row(
    new_database: NewDatabase, family: str, verb: str, strategy: str
) -> None:
    """Of a row that came after the plan, or of a table that is too large for a look; what is done stays done."""
    database, (where, reason) = events(new_database, family), FAILS[family]["a document"]
    database.execute("UPDATE events SET words = '12'")

    def spoil(event: Event) -> None:
        if isinstance(event, Committed):
            database.execute(f"UPDATE events SET words = 'x' WHERE id = {BAD}")

    sets = {"set": ["n = 7"]} if verb == "backfill" else {}
    job = Job(
        database, verb, where=where, strategy=strategy, batch_size=100, allow=("scan", "no-key"), table="events", **sets
    )
    finished = job(hear=spoil)
    assert (finished.reason, finished.exit) == ("failed", 1)
    assert finished.error is not None
    assert finished.error.message.startswith(f'The condition {where} fails on a row of "events"')
    assert finished.error.message.endswith(reason)
    assert "CASE WHEN" in finished.error.hint
    if strategy == "key":
        assert f", the first after id={BAD - 1}: " in finished.error.message
        assert 0 <= BAD - 1 - finished.rows < 200, "the batches before it are done"
    database.execute("UPDATE events SET words = '12'")
    assert (job().reason, job().reason) == ("done", "done")


def test_mariadb_takes_it_for_a_row_that_does_not_match(new_database: NewDatabase) -> None:
    """As in its own DELETE: a division by zero is NULL."""
    database = events(new_database, "mariadb")
    done = library.purge(url=database.url, table="events", where="1000 / n > 20", batch_size=100)
    assert (done.reason, done.rows) == ("done", ROWS - 1)
