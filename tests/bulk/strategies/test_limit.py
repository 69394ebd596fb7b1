"""The walk without a key: it ends by what its selector found, is for purges only, and says what it costs."""

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests.bulk.plan.situations import numbers
from tests.command import Batchops
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 3_000
_MAKE = {
    "postgresql": "INSERT INTO t SELECT i / 3, i % 4 FROM generate_series(0, {most}) i",
    "mysql": "INSERT INTO t SELECT seq DIV 3, seq % 4 FROM seq_0_to_{most}",
    "sqlite": "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {most}) "
    "INSERT INTO t SELECT i / 3, i % 4 FROM c",
}


def make(database: Database) -> None:
    """No key, three rows of each number, NULLs among the matching ones' neighbours."""
    database.script("CREATE TABLE t (n integer, kind integer)")
    database.execute(_MAKE[database.backend].format(most=ROWS - 1))
    database.script("INSERT INTO t VALUES (NULL, NULL), (NULL, 0)")


def left(database: Database) -> tuple[int, int]:
    """Rows that match, and all."""
    return database.scalar("SELECT count(*) FROM t WHERE kind = 0"), database.scalar("SELECT count(*) FROM t")


@pytest.mark.parametrize(
    ("size", "workers"),
    [
        (100, 3),
        (751, 1),
        pytest.param(100, 1, marks=pytest.mark.full),
        pytest.param(5_000, 1, marks=pytest.mark.full),
    ],
    ids=["several, workers", "exactly all", "several", "more than all"],
)
def test_purge(database: Database, size: int, workers: int) -> None:
    make(database)
    done = library.purge(
        url=database.url, table="t", where="kind = 0", strategy="limit", batch_size=size, workers=workers,
        allow=["no-key", "scan"],
    )  # fmt: skip
    assert (done.reason, done.strategy, done.rows) == ("done", "limit", ROWS // 4 + 1)
    assert left(database) == (0, ROWS * 3 // 4 + 1)


def test_max_rows(database: Database) -> None:
    make(database)
    options = {"url": database.url, "table": "t", "where": "kind = 0", "strategy": "limit", "allow": ["no-key", "scan"]}
    done = library.purge(**options, max_rows=101, batch_size=40)
    assert (done.reason, done.rows) == ("max-rows", 101)
    assert left(database)[0] == ROWS // 4 + 1 - 101
    assert library.purge(**options).reason == "done"
    assert left(database) == (0, ROWS * 3 // 4 + 1)


def test_a_backfill_is_refused(batchops: Batchops, database: Database) -> None:
    make(database)
    arguments = ("backfill", "t", "--set", "kind = 0", "--where", "kind = 1", "--url", database.url, "-y", "--json")
    done = batchops(*arguments, "--strategy", "limit", "--allow", "no-key")
    assert done.code == 12, done
    assert left(database)[0] == ROWS // 4 + 1


def test_the_plan_says_what_it_costs(batchops: Batchops, mariadb: Database) -> None:
    make(mariadb)
    refused = batchops("purge", "t", "--where", "kind = 0", "--url", mariadb.url, "-n")
    assert refused.code == 12
    assert "limit" in refused.out + refused.err
    told = batchops("purge", "t", "--where", "kind = 0", "--url", mariadb.url, "-n", "--strategy", "limit")
    assert "reads again what earlier batches left behind" in told.out + told.err


def test_a_table_without_rowid_has_nothing_to_limit_by(sqlite: Database) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY) WITHOUT ROWID")
    with pytest.raises(RefusedError, match="its rows have no number"):
        library.purge(url=sqlite.url, table="t", all_rows=True, strategy="limit")


NUMBERED = 600


@pytest.mark.parametrize("size", [7, pytest.param(None, marks=pytest.mark.full)])
@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"], ids=["at once", "deferred"])
def test_a_row_that_others_refer_to_is_passed_over(database: Database, size: int | None, deferred: str) -> None:
    """Every tenth of the matching rows is referred to by one that does not match."""
    if deferred and database.backend == "mysql":
        pytest.skip("MySQL has no deferred constraints")
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, earlier integer,"
        f" FOREIGN KEY (earlier) REFERENCES t (id) {deferred}); CREATE INDEX t_earlier ON t (earlier)"
    )
    earlier = "CASE WHEN i % 20 = 1 AND i > 1 THEN i - 1 END"
    database.execute(f"INSERT INTO t SELECT i, i % 2, {earlier} FROM {numbers(database, NUMBERED)} ORDER BY i")
    kept = NUMBERED // 20 - 1
    done = library.purge(
        url=database.url, table="t", where="kind = 0", strategy="limit", batch_size=size, workers=2, allow=["scan"]
    )
    assert (done.reason, done.exit, done.rows, done.rejected) == ("incomplete", 3, NUMBERED // 2 - kept, kept), done
    assert database.column("SELECT id FROM t WHERE kind = 0 ORDER BY id") == [20 * i for i in range(1, kept + 1)]
    again = library.purge(url=database.url, table="t", where="kind = 0", strategy="limit", allow=["scan"])
    assert (again.exit, again.rows, again.rejected) == (3, 0, kept)
    database.execute("UPDATE t SET earlier = NULL")
    assert library.purge(url=database.url, table="t", where="kind = 0", strategy="limit", allow=["scan"]).exit == 0
    assert database.scalar("SELECT count(*) FROM t") == NUMBERED // 2


def test_a_chain_goes_whole(database: Database) -> None:
    """Rows that others of their table keep are tried again once these are gone."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, earlier integer, FOREIGN KEY (earlier) REFERENCES t (id));"
        "CREATE INDEX t_earlier ON t (earlier)"
    )
    database.execute(f"INSERT INTO t SELECT i, CASE WHEN i > 1 THEN i - 1 END FROM {numbers(database, 60)} ORDER BY i")
    done = library.purge(url=database.url, table="t", where="id > 0", strategy="limit", batch_size=9, allow=["scan"])
    assert (done.reason, done.rows, done.rejected) == ("done", 60, 0), done


VETO = {
    "postgresql": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF OLD.n = 500 THEN"
    " RAISE EXCEPTION 'not this one'; END IF; RETURN OLD; END$$;"
    "CREATE TRIGGER no BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION no()",
    "mysql": "CREATE TRIGGER no BEFORE DELETE ON t FOR EACH ROW"
    " IF OLD.n = 500 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF",
    "sqlite": "CREATE TRIGGER no BEFORE DELETE ON t WHEN OLD.n = 500 BEGIN SELECT RAISE(ABORT, 'not this one'); END",
}


def test_a_refused_row_of_a_table_without_a_key(database: Database) -> None:
    """Where nothing identifies the row, the rows before it go, and the message says that others may be left."""
    make(database)
    if database.backend == "sqlite":
        database.execute(VETO["sqlite"])
    else:
        database.script(VETO[database.backend]) if database.backend == "postgresql" else database.execute(VETO["mysql"])
    done = library.purge(
        url=database.url, table="t", where="kind = 0", strategy="limit", batch_size=100,
        allow=["no-key", "scan", "triggers"],
    )  # fmt: skip
    assert (done.reason, done.exit) == ("incomplete", 3), done
    assert done.error is not None
    if database.backend == "mysql":
        assert done.rows > 0
        assert "cannot pass over: not this one" in done.error.message
    else:
        assert (done.rejected, left(database)[0]) == (1, 1)
