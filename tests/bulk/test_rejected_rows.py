"""Rows that the database refuses: told from the others, tried again where others free them, or left out."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

import batchops as library
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.events import Committed, Rejected
from tests.bulk.plan.situations import ALL, numbers
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 2_000
CHAIN = 600
"""Rows of a chain."""


def prices(database: Database) -> None:
    """Each twentieth row is at the limit that a CHECK sets."""
    database.script("CREATE TABLE prices (id integer NOT NULL PRIMARY KEY, cents integer NOT NULL CHECK (cents > 0))")
    database.execute(
        f"INSERT INTO prices SELECT i, CASE WHEN i % 20 = 0 THEN 5 ELSE 100 END FROM {numbers(database, ROWS)}"
    )


def chain(database: Database, behind: int = 15) -> None:
    """Home Assistant's states: each refers to the one `behind` it; the last tenth stays and refers to nothing."""
    kept = CHAIN - CHAIN // 10
    database.script(
        "CREATE TABLE states (id integer NOT NULL PRIMARY KEY, old_state_id integer, gone integer NOT NULL,"
        " FOREIGN KEY (old_state_id) REFERENCES states (id));"
        "CREATE INDEX states_old ON states (old_state_id)"
    )
    old = f"CASE WHEN i > {behind} AND i <= {kept} THEN i - {behind} END"
    # From the lowest, or MariaDB sees a row before the one that it refers to.
    database.execute(
        f"INSERT INTO states SELECT i, {old}, CASE WHEN i <= {kept} THEN 1 ELSE 0 END FROM {numbers(database, CHAIN)}"
        " ORDER BY i"
    )


def versions(database: Database) -> None:
    """Airflow's dag_version: half of the rows are referred to."""
    database.script(
        "CREATE TABLE dag_version (id integer NOT NULL PRIMARY KEY, old integer NOT NULL);"
        "CREATE TABLE task_instance (id integer NOT NULL PRIMARY KEY, dag_version_id integer,"
        " FOREIGN KEY (dag_version_id) REFERENCES dag_version (id) ON DELETE RESTRICT);"
        "CREATE INDEX task_version ON task_instance (dag_version_id)"
    )
    database.execute(f"INSERT INTO dag_version SELECT i, 1 FROM {numbers(database, ROWS)}")
    database.execute(f"INSERT INTO task_instance SELECT i, i * 2 FROM {numbers(database, ROWS // 2)}")


def job(database: Database, table: str, **more: Any) -> dict[str, Any]:
    return {"url": database.url, "table": table, **more}


@pytest.fixture(params=ALL)
def made(request: pytest.FixtureRequest, new_database: NewDatabase) -> Callable[[Callable[[Database], None]], Database]:
    def make(what: Callable[[Database], None]) -> Database:
        database = new_database(request.param)
        what(database)
        return database

    return make


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """The first words of the statements that go out."""
    words = list[str]()

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        words.append(statement.lstrip('"`').split(maxsplit=1)[0])

    sa.event.listen(Engine, "before_cursor_execute", count)
    yield words
    sa.event.remove(Engine, "before_cursor_execute", count)


def test_bad_rows_cost_few_batches(made: Callable[[Callable[[Database], None]], Database]) -> None:
    """A bad row is found inside the transaction of its batch; the others of the batch are changed with it."""
    database, events = made(prices), list[Any]()
    finished = library.backfill(
        **job(database, "prices", all_rows=True, set=["cents = cents - 10"], batch_size=200), on_event=events.append
    )
    assert (finished.reason, finished.exit, finished.rejected) == ("incomplete", 3, ROWS // 20)
    assert database.scalar("SELECT count(*) FROM prices WHERE cents = 90") == ROWS - ROWS // 20
    assert database.scalar("SELECT count(*) FROM prices WHERE cents = 5") == ROWS // 20
    keys = {event.key for event in events if isinstance(event, Rejected)}
    assert keys == {f"id={20 * i}" for i in range(1, ROWS // 20 + 1)}
    assert len([event for event in events if isinstance(event, Committed)]) <= 2 * ROWS // 200


def test_rows_that_a_check_refuses_are_tried_together(
    made: Callable[[Callable[[Database], None]], Database], sent: list[str]
) -> None:
    """Two of a batch show the reason; of the others the server says in one statement whether it refuses each."""
    database = made(prices)
    finished = library.backfill(
        **job(database, "prices", all_rows=True, set=["cents = cents - 10"], batch_size=ROWS // 2)
    )
    assert (finished.reason, finished.rejected) == ("incomplete", ROWS // 20)
    assert database.scalar("SELECT count(*) FROM prices WHERE cents = 90") == ROWS - ROWS // 20
    assert sent.count("UPDATE") + sent.count("DO") <= ROWS // 20 // 4


STORED = {
    "postgresql": ("numeric(5,0)", "kept <= 9", "kept + more", "9, CASE WHEN i % 20 = 0 THEN 0.4 ELSE 0.6 END"),
    "mysql": ("decimal(5,0)", "kept <= 9", "kept + more", "9, CASE WHEN i % 20 = 0 THEN 0.4 ELSE 0.6 END"),
    "sqlite": ("integer", "typeof(kept) = 'integer'", "more", "1, CASE WHEN i % 20 = 0 THEN '5' ELSE 'x' END"),
}
"""A column's type, a CHECK that some values pass only as they are stored, the value to set, and rows."""


def test_a_row_that_is_right_once_it_is_stored_is_not_refused(
    made: Callable[[Callable[[Database], None]], Database],
) -> None:
    """Its value looks wrong before it has the column's type, as do those of the rows about it, which are refused."""
    database = made(lambda _: None)
    type_, check, value, rows = STORED[database.backend]
    more = "varchar(9)" if database.backend == "sqlite" else "numeric(5,1)"
    database.execute(
        f"CREATE TABLE s (id integer PRIMARY KEY, kept {type_} CHECK ({check}), more {more}, times integer DEFAULT 0)"
    )
    database.execute(f"INSERT INTO s (id, kept, more) SELECT i, {rows} FROM {numbers(database, 400)}")
    finished = library.backfill(
        **job(database, "s", all_rows=True, batch_size=200, max_rejected=1000)
        | {"set": [f"kept = {value}", "times = times + 1"]}
    )
    assert (finished.rows, finished.rejected) == (20, 380), finished
    assert database.column("SELECT DISTINCT times FROM s WHERE id % 20 = 0") == [1]
    assert database.column("SELECT DISTINCT times FROM s WHERE id % 20 <> 0") == [0]


REFUSING = {
    "not-null": ("cents = worth", "cents IS NULL"),
    "division": ("cents = 100 / coalesce(worth, 0)", "cents IS NULL"),
    "reference": ("owner = CASE WHEN worth IS NULL THEN 7 ELSE 2 END", "owner = 7"),
    "trigger": ("owner = CASE WHEN worth IS NULL THEN 9 ELSE 2 END", "owner = 9"),
}
"""What is set, so that each fortieth row is refused, and what no row may become."""
_SIGNAL = {
    "postgresql": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.owner = 9 THEN"
    " RAISE EXCEPTION 'not nine'; END IF; RETURN NEW; END$$;"
    "CREATE TRIGGER no BEFORE UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION no()",
    "mysql": "CREATE TRIGGER no BEFORE UPDATE ON goods FOR EACH ROW"
    " IF NEW.owner = 9 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not nine'; END IF",
    "sqlite": "CREATE TRIGGER no BEFORE UPDATE ON goods WHEN NEW.owner = 9 BEGIN SELECT RAISE(ABORT, 'not nine'); END",
}


@pytest.mark.parametrize(
    "kind", ["not-null", *(pytest.param(k, marks=pytest.mark.full) for k in ("division", "reference", "trigger"))]
)
def test_refused_rows_cost_few_statements(
    made: Callable[[Callable[[Database], None]], Database], sent: list[str], kind: str
) -> None:
    """Whether or not the server names the row that it refuses; and no row is changed twice."""

    def goods(database: Database) -> None:
        database.script(
            "CREATE TABLE owners (id integer NOT NULL PRIMARY KEY);"
            "INSERT INTO owners VALUES (1), (2), (9);"
            "CREATE TABLE goods (id integer NOT NULL PRIMARY KEY, cents integer NOT NULL, worth integer,"
            " owner integer NOT NULL, times integer NOT NULL, FOREIGN KEY (owner) REFERENCES owners (id))"
        )
        database.execute(
            f"INSERT INTO goods SELECT i, 1, CASE WHEN i % 40 <> 0 THEN 5 END, 1, 0 FROM {numbers(database, ROWS)}"
        )
        if kind == "trigger":
            database.execute(_SIGNAL[database.backend])

    database = made(goods)
    value, never = REFUSING[kind]
    finished = library.backfill(
        **job(database, "goods", all_rows=True, set=[value, "times = times + 1"], batch_size=1_000, allow=["triggers"])
    )
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", ROWS - ROWS // 40, ROWS // 40)
    assert database.scalar("SELECT count(*) FROM goods WHERE times = 1") == ROWS - ROWS // 40
    assert database.scalar(f"SELECT count(*) FROM goods WHERE {never} OR times > 1") == 0
    named = (kind, database.backend) == ("not-null", "postgresql")
    each = 4 if named else 11
    assert sent.count("UPDATE") <= each * ROWS // 40, "by halves of 40 rows: six, and the rows between"


@pytest.mark.full
def test_what_a_check_seems_to_refuse_is_tried_all_the_same(new_database: NewDatabase) -> None:
    """A trigger may mend the row before the check sees it; only the server's refusal counts."""
    database = new_database("postgresql")
    prices(database)
    database.script(
        "CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id % 100 <> 0 THEN"
        " NEW.cents := greatest(NEW.cents, 1); END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER mend BEFORE UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION mend()"
    )
    finished = library.backfill(
        **job(database, "prices", all_rows=True, set=["cents = cents - 10"], batch_size=200, allow=["triggers"])
    )
    assert (finished.reason, finished.rejected) == ("incomplete", ROWS // 100)
    assert database.scalar("SELECT count(*) FROM prices WHERE cents = 1") == ROWS // 20 - ROWS // 100
    assert database.scalar("SELECT count(*) FROM prices WHERE cents = 90") == ROWS - ROWS // 20


@pytest.mark.full
def test_rows_that_are_all_bad_behind_many_good_ones_are_met_in_small_batches(
    made: Callable[[Callable[[Database], None]], Database],
) -> None:
    """A batch that has grown would try thousands of rows one by one, and reject them all before it is stopped."""
    database, events = made(prices), list[Any]()
    database.execute("UPDATE prices SET cents = CASE WHEN id > 1200 THEN 5 ELSE 100 END")
    finished = library.backfill(
        **job(database, "prices", all_rows=True, set=["cents = cents - 10"], batch_size=700, max_rejected=100),
        on_event=events.append,
    )
    assert (finished.reason, finished.rows) == ("max-rejected", 1_200)
    assert 100 < finished.rejected <= 350


def test_a_run_that_nothing_allows_stops_soon(made: Callable[[Callable[[Database], None]], Database]) -> None:
    """Where every row is refused, what was asked for is wrong; a person should know at once."""
    database = made(prices)
    finished = library.backfill(**job(database, "prices", all_rows=True, set=["cents = -cents"], batch_size=200))
    assert (finished.reason, finished.exit, finished.rows) == ("max-rejected", 3, 0)
    assert 1_000 <= finished.rejected <= 1_200
    assert finished.error is not None
    assert "--max-rejected" in finished.error.hint
    few = library.backfill(
        **job(database, "prices", all_rows=True, set=["cents = cents - 10"], batch_size=200, max_rejected=30)
    )
    assert (few.reason, few.exit) == ("max-rejected", 3)
    assert 30 < few.rejected <= 50


@pytest.mark.wide(1)
@pytest.mark.parametrize("behind", [1, 15])
def test_a_chain_of_rows_goes_whole(made: Callable[[Callable[[Database], None]], Database], behind: int) -> None:
    """What a later batch frees is tried again before the end, in whatever order the rows refer to each other."""
    database = made(lambda database: chain(database, behind))
    finished = library.purge(**job(database, "states", where="gone = 1", batch_size=90))
    assert (finished.reason, finished.rejected) == ("done", 0)
    assert database.scalar("SELECT count(*) FROM states") == CHAIN // 10


def test_what_nothing_frees_is_named_once(made: Callable[[Callable[[Database], None]], Database]) -> None:
    database = made(chain)
    kept = CHAIN - CHAIN // 10
    database.execute(f"UPDATE states SET old_state_id = {kept} WHERE id = {kept + 1}")
    finished = library.purge(**job(database, "states", where="gone = 1", batch_size=90))
    # The row that one of those that stay refers to stays, and so do the rows behind it.
    stay = kept // 15
    assert (finished.reason, finished.exit, finished.rejected) == ("incomplete", 3, stay)
    assert database.scalar("SELECT count(*) FROM states WHERE gone = 1") == stay


def test_rows_that_others_refer_to_are_left_out(made: Callable[[Callable[[Database], None]], Database]) -> None:
    database, events = made(versions), list[Any]()
    finished = library.purge(**job(database, "dag_version", where="old = 1", batch_size=200), on_event=events.append)
    assert (finished.reason, finished.exit) == ("incomplete", 3)
    assert (finished.rows, finished.rejected) == (ROWS // 2, ROWS // 2)
    assert finished.error is not None
    assert "referenced by task_instance (dag_version_id)" in finished.error.message
    assert database.scalar("SELECT count(*) FROM dag_version") == ROWS // 2
    assert all(event.size == 200 for event in events if isinstance(event, Committed)), "no batch was taken apart"


def test_a_row_that_two_tables_refer_to_stays_once(made: Callable[[Callable[[Database], None]], Database]) -> None:
    """The tables' numbers add up to what is left."""
    database = made(versions)
    database.script(
        "CREATE TABLE dag_run (id integer NOT NULL PRIMARY KEY, dag_version_id integer,"
        " FOREIGN KEY (dag_version_id) REFERENCES dag_version (id));"
        "CREATE INDEX run_version ON dag_run (dag_version_id)"
    )
    database.execute(f"INSERT INTO dag_run SELECT i, i * 3 FROM {numbers(database, ROWS // 3)}")
    finished = library.purge(**job(database, "dag_version", where="old = 1"))
    stay = database.scalar("SELECT count(*) FROM dag_version")
    assert stay == ROWS // 2 + ROWS // 3 - ROWS // 6
    assert (finished.rejected, finished.left) == (stay, stay)
    assert finished.error is not None
    assert " more rows referenced by " in finished.error.message


def test_rows_of_a_table_followed_by_its_rowid_are_left_out(new_database: NewDatabase) -> None:
    """SQLite's INT PRIMARY KEY and text keys are none of its columns' own numbers."""
    database = new_database("sqlite")
    database.script(
        "CREATE TABLE places (code text PRIMARY KEY);"
        "CREATE TABLE visits (id integer PRIMARY KEY, place text REFERENCES places (code));"
        "CREATE INDEX visits_place ON visits (place);"
        "INSERT INTO places VALUES ('a'), ('b'), ('c');"
        "INSERT INTO visits VALUES (1, 'b');"
    )
    finished = library.purge(url=database.url, table="places", all_rows=True)
    assert (finished.reason, finished.rows) == ("incomplete", 2)
    assert finished.error is not None
    assert "referenced by visits (place)" in finished.error.message


@pytest.mark.full
def test_rows_that_nothing_frees_are_given_up_though_they_fill_several_batches(new_database: NewDatabase) -> None:
    """Each round of them has to show anew that rows go, or there is no end of it."""
    database = new_database("sqlite")
    database.script(
        "CREATE TABLE t (id integer PRIMARY KEY, up integer REFERENCES t (id), other integer REFERENCES t (id));"
        "CREATE INDEX t_up ON t (up); CREATE INDEX t_other ON t (other);"
    )
    database.execute(f"INSERT INTO t (id) SELECT i FROM {numbers(database, 60)}")
    database.execute("UPDATE t SET up = id - 1 WHERE id > 1")
    database.execute("UPDATE t SET other = id + 7 WHERE id % 2 = 0 AND id < 50")
    finished = library.purge(url=database.url, table="t", all_rows=True, batch_size=10)
    assert finished.reason == "incomplete"
    assert finished.rows + finished.rejected == 60


def test_refused_rows_wait_in_the_cursor() -> None:
    """Met upwards they are tried again downwards; those of another round, or of another partition, wait apart."""
    first = Cursor((Range((9,), (20,)),))
    one = Range(None, None, keys=((1,), (2,)), refused_at=-1)
    two = Range(None, None, keys=((5,),), refused_at=-1)
    cursor = first.retry_later(one).retry_later(two)
    assert [way.keys for way in cursor.ranges] == [(), ((1,), (2,), (5,))]
    again = Range(None, None, keys=((4,),), visits=1, refused_at=30)
    below = Range(None, None, keys=((2,),), visits=1, refused_at=40)
    cursor = cursor.retry_later(again).retry_later(below)
    assert [way.keys for way in cursor.ranges] == [(), ((1,), (2,), (5,)), ((2,), (4,))]
    assert cursor.ranges[-1].refused_at == 30
    apart = cursor.retry_later(Range(None, None, keys=((7,),), visits=1, leaf="p1", refused_at=40))
    assert len(apart.ranges) == 4
    assert Cursor.loaded(apart.dumped()) == apart
