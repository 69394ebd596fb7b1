"""Every shape of table in every database that has it: the end is that of one plain statement."""

import pytest

import batchops as library
from batchops.errors import RefusedError, UnreachableError
from batchops.events import Committed, Event
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.shapes import SHAPES
from tests.databases.shapes.shape import EVERYWHERE, FAMILY_NAMES, MARIA, Shape, make, options
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

CASES = [
    pytest.param(shape, on, id=f"{shape.name}-{on}", marks=() if shape.quick else pytest.mark.full)
    for shape in SHAPES
    for on in shape.databases
]
CALLS = {"backfill": library.backfill, "purge": library.purge}
SIZE = 7


@pytest.mark.wide(6)
@pytest.mark.parametrize(("shape", "on"), CASES)
def test_shape(new_database: NewDatabase, shape: Shape, on: str) -> None:
    """A backfill, then a purge; each first under a limit, where rows are listed by key, then along plain ranges."""
    database = new_database(on)
    mine, plain = make(shape, database)
    for verb, call in CALLS.items():
        asked = options(shape, mine, verb) | {"url": database.url, "batch_size": SIZE, "strategy": "key"}
        first = call(max_rows=10, **asked)
        assert (first.exit, first.reason in ("max-rows", "done")) == (0, True), first
        assert first.rows <= 10
        events: list[Event] = []
        rest = call(on_event=events.append, **asked)
        whole = verb == "backfill" and first.reason == "done"  # a table so small that the first run saw all of it
        assert rest.reason == ("already-done" if whole else "done"), rest
        assert all(batch.rows <= 2 * SIZE for batch in events if isinstance(batch, Committed))
        plain.plainly(verb)
        assert mine.content() == plain.content(), verb


@pytest.mark.full
@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize(("shape", "on"), CASES)
def test_shape_in_many_runs(new_database: NewDatabase, shape: Shape, on: str, verb: str) -> None:
    """Three rows a run, from where the last one stopped; the walk is the planner's choice."""
    database = new_database(on)
    mine, plain = make(shape, database)
    asked = options(shape, mine, verb) | {"url": database.url, "batch_size": 2, "max_rows": 3}
    for _ in shape.rows:
        finished = CALLS[verb](**asked)
        assert finished.exit == 0, finished
        if finished.reason == "done":
            break
    plain.plainly(verb)
    assert mine.content() == plain.content()


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("on", EVERYWHERE)
@pytest.mark.parametrize(
    "name",
    [
        "percent and colon",
        *(pytest.param(x, marks=pytest.mark.full) for x in ("quotes and blanks", "JSON", "another schema")),
    ],
)
def test_on_the_command_line(batchops: Batchops, new_database: NewDatabase, name: str, on: str, verb: str) -> None:
    shape = next(shape for shape in SHAPES if shape.name == name)
    database = new_database(on)
    mine, plain = make(shape, database)
    plain.plainly(verb)
    asked = options(shape, mine, verb)
    sets = [word for one in asked.get("set", ()) for word in ("--set", one)]
    done = batchops(
        verb, asked["table"], "--where", asked["where"], *sets,
        "--url", database.url, "-y", "--json", "--batch-size", str(SIZE),
    )  # fmt: skip
    assert done.code == 0, done
    assert done.json()["reason"] == "done"
    assert mine.content() == plain.content()


@pytest.mark.parametrize("type", ["enum('b','a')", "float", "bit(8)", "set('a','b')"])
def test_keys_that_mariadb_cannot_follow(mariadb: Database, type: str) -> None:
    mariadb.script(f"CREATE TABLE t (id {type} PRIMARY KEY, n int)")
    with pytest.raises(RefusedError, match="no key that can be followed"):
        library.backfill(url=mariadb.url, table="t", all_rows=True, set=["n = 1"])


def test_a_name_in_the_wrong_case(database: Database) -> None:
    """An unquoted name means what the server would take it for."""
    mine, plain = make(next(shape for shape in SHAPES if shape.name == "integer"), database)
    plain.plainly("purge")
    if FAMILY_NAMES[database.backend] == MARIA:
        with pytest.raises(UnreachableError, match='no table "T"'):
            library.purge(url=database.url, table="T", where="n % 3 <> 1")
        return
    library.purge(url=database.url, table="T", where="n % 3 <> 1")
    assert mine.content() == plain.content()


def test_a_unique_index_by_a_finer_collation_names_no_row(postgresql: Database) -> None:
    """Both rows are one to a comparison: a walk that had visited the first would never come to the second."""
    postgresql.script(
        "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        "CREATE TABLE t (name text COLLATE blind NOT NULL, n integer NOT NULL);"
        "CREATE UNIQUE INDEX ON t (name COLLATE \"C\"); INSERT INTO t VALUES ('a', 0), ('A', 0), ('b', 0)"
    )
    with pytest.raises(library.BatchopsError, match="no primary key or unique index") as refused:
        library.backfill(url=postgresql.url, table="t", all_rows=True, set=("n = n + 1",))
    assert refused.value.exit == 12
    assert postgresql.column("SELECT DISTINCT n FROM t") == [0]
