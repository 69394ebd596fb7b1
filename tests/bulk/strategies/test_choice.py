"""The strategy that is chosen for a condition and its index, and that no row is lost by it."""

from dataclasses import dataclass
from typing import Any

import pytest

import batchops as library
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 20_000
EVERYWHERE = ("postgresql", "mariadb", "sqlite")
PARTIAL = ("postgresql", "sqlite")
"""Which have partial indexes, and indexes on expressions."""


@dataclass(frozen=True)
class Case:
    """An index, a condition, and whether the matching rows are to be read first; None: either does the work."""

    name: str
    index: str
    where: str
    matched: bool | None
    databases: tuple[str, ...] = EVERYWHERE
    options: tuple[tuple[str, Any], ...] = ()


CASES = (
    Case("range", "CREATE INDEX i ON t (made)", "made < 300", True),
    Case("range with more", "CREATE INDEX i ON t (made)", "made < 300 AND kind = 1", True),
    Case("ties", "CREATE INDEX i ON t (status)", "status = 'x'", True),
    Case("ties, small batches", "CREATE INDEX i ON t (status)", "status = 'x'", True, options=(("batch_size", 9),)),
    Case("two values", "CREATE INDEX i ON t (status)", "status IN ('x', 'z')", True),
    Case("NULL among the values", "CREATE INDEX i ON t (maybe)", "maybe IS NULL", True),
    Case("NULL or less", "CREATE INDEX i ON t (maybe)", "maybe IS NULL OR maybe < 200", None),
    Case("nullable, without NULLs", "CREATE INDEX i ON t (maybe)", "maybe < 200", True),
    Case("two columns", "CREATE INDEX i ON t (status, made)", "status = 'x' AND made < 9000", True),
    Case("second column only", "CREATE INDEX i ON t (status, made)", "made < 100", None),
    Case("with the key", "CREATE INDEX i ON t (made, id)", "made < 300", True),
    Case("descending", "CREATE INDEX i ON t (made DESC)", "made > 19700", True),
    Case("descending, mixed", "CREATE INDEX i ON t (status DESC, id ASC)", "status = 'x'", None),
    Case("partial", "CREATE INDEX i ON t (made) WHERE status = 'x'", "status = 'x' AND made < 9000", True, PARTIAL),
    Case("partial, condition elsewhere", "CREATE INDEX i ON t (id) WHERE status = 'x'", "status = 'x'", None, PARTIAL),
    Case("expression", "CREATE INDEX i ON t (abs(made - 500))", "abs(made - 500) < 90", None, PARTIAL),
    Case("hash", "CREATE INDEX i ON t USING hash (status)", "status = 'x'", True, ("postgresql",)),
    Case("float", "CREATE INDEX i ON t (ratio)", "ratio < 0.01", None),
    Case("OR over two columns", "CREATE INDEX i ON t (made)", "made < 200 OR status = 'z'", None),
    Case("OR on one column", "CREATE INDEX i ON t (made)", "made < 200 OR made > 19900", None),
    Case("unselective", "CREATE INDEX i ON t (made)", "made < 15000", False),
    Case("no index", "CREATE INDEX i ON t (made)", "kind = 1", None),
    Case("the key itself", "CREATE INDEX i ON t (made)", "id < 400", None),
    Case("nothing matches", "CREATE INDEX i ON t (made)", "made < 0", None),
)  # fmt: skip


LIKE_OTHERS = frozenset({
    "range with more", "ties", "two values", "NULL among the values", "two columns", "second column only",
    "with the key", "descending, mixed", "partial, condition elsewhere", "hash", "float", "no index", "the key itself",
    "nothing matches", "OR on one column",
})  # fmt: skip
"""For the long tier."""


def make(database: Database) -> None:
    real = {"postgresql": "real", "mysql": "float", "sqlite": "real"}[database.backend]
    database.script(
        "CREATE TABLE t (id integer PRIMARY KEY, made integer NOT NULL, status varchar(10) NOT NULL, "
        f"maybe integer, kind integer NOT NULL, ratio {real} NOT NULL)"
    )
    rows = [
        (i, i * 7919 % ROWS, {1: "x", 2: "z"}.get(i % 100, "y"), None if i % 50 == 3 else i, i % 3, i / ROWS)
        for i in range(1, ROWS + 1)
    ]
    database.insert("t", ["id", "made", "status", "maybe", "kind", "ratio"], rows)


def analyze(database: Database) -> None:
    database.execute("ANALYZE TABLE t" if database.backend == "mysql" else "ANALYZE")


@pytest.mark.full
@pytest.mark.parametrize("cases", ["some", pytest.param("others", marks=pytest.mark.full)])
def test_the_end_is_that_of_one_statement(database: Database, cases: str) -> None:
    """Every index and condition in turn, on one table that is put back."""
    name = "mariadb" if database.backend == "mysql" else database.backend
    make(database)
    database.script("CREATE TABLE every AS SELECT * FROM t")
    for case in CASES:
        if name not in case.databases or (case.name in LIKE_OTHERS) == (cases == "some"):
            continue
        database.script(case.index)
        analyze(database)
        done = library.purge(url=database.url, table="t", where=case.where, **{"batch_size": 50, **dict(case.options)})
        expected = database.scalar(f"SELECT count(*) FROM every WHERE {case.where}")
        assert (done.reason, done.rows) == ("done", expected), case.name
        assert database.scalar(f"SELECT count(*) FROM t WHERE {case.where}") == 0, case.name
        assert database.scalar("SELECT count(*) FROM t") == ROWS - expected, case.name
        if case.matched is not None:
            assert (done.strategy == "match") == case.matched, case.name
        database.script("DROP INDEX i ON t" if database.backend == "mysql" else "DROP INDEX i")
        database.script(f"INSERT INTO t SELECT * FROM every WHERE {case.where}")


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", ["mariadb", "sqlite"])
@pytest.mark.parametrize(("where", "strategy"), [("status = 'x'", "match"), ("kind < 2", "key"), ("made >= 0", "key")])
def test_a_scan_is_judged_by_the_first_rows(new_database: NewDatabase, name: str, where: str, strategy: str) -> None:
    """MariaDB expects all rows to match, as it knows nothing of the column; SQLite expects nothing."""
    database = new_database(name)
    make(database)
    analyze(database)
    expected = database.scalar(f"SELECT count(*) FROM t WHERE {where}")
    planned = library.plan(library.purge, url=database.url, table="t", where=where)
    assert planned.estimate == pytest.approx(expected, rel=0.2)
    done = library.purge(url=database.url, table="t", where=where)
    assert (done.reason, done.strategy, done.rows) == ("done", strategy, expected)


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("where", "strategy"),
    [
        ("n NOT IN (SELECT i FROM few)", "match"),
        ("NOT EXISTS (SELECT 1 FROM parent WHERE i = n)", "list"),
    ],
)
def test_what_a_condition_reads_of_other_tables_counts_for_each_batch(
    postgresql: Database, where: str, strategy: str
) -> None:
    """PostgreSQL guesses that half of the rows match NOT IN; and no index finds a parent."""
    numbered(postgresql, 300_000, n=("integer", "i % 50000"))
    postgresql.script(
        "CREATE TABLE parent AS SELECT i FROM generate_series(1, 300000) i WHERE i % 10 <> 0; ANALYZE parent;"
        "CREATE TABLE few AS SELECT i FROM parent WHERE i < 50000; ANALYZE few"
    )
    done = library.purge(url=postgresql.url, table="t", where=where)
    assert (done.reason, done.strategy, done.rows) == ("done", strategy, 30_000)


def test_never_analysed(database: Database) -> None:
    """Whatever walk the server's guesses lead to."""
    make(database)
    database.script("CREATE INDEX i ON t (made)")
    done = library.purge(url=database.url, table="t", where="made < 300", batch_size=50)
    assert (done.reason, done.rows) == ("done", 300)


def test_statistics_that_are_wrong(postgresql: Database) -> None:
    """The server believes that nearly nothing matches, and nearly everything does."""
    make(postgresql)
    postgresql.script("CREATE INDEX i ON t (made); ALTER TABLE t SET (autovacuum_enabled = off); ANALYZE t")
    postgresql.script("UPDATE t SET made = -made WHERE made < 19000")
    done = library.purge(url=postgresql.url, table="t", where="made < 0", batch_size=500)
    assert (done.reason, done.rows) == ("done", 18_999)


@pytest.mark.wide(1)
@pytest.mark.parametrize("workers", [1, 3])
def test_ties_with_several_workers(database: Database, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchops.bulk.strategies.match_keys.WORTH_SPLITTING", 30)
    make(database)
    database.script("CREATE INDEX i ON t (status)")
    analyze(database)
    options = {"url": database.url, "table": "t", "where": "status = 'x'", "batch_size": 9, "workers": workers}
    first = library.purge(**options, max_rows=40)
    assert (first.reason, first.rows) == ("max-rows", 40)
    done = library.purge(**options)
    assert (done.reason, done.strategy, done.rows) == ("done", "match", 160)


def test_the_reason_is_printed(batchops: Batchops, database: Database) -> None:
    make(database)
    database.script("CREATE INDEX on_made ON t (made)")
    analyze(database)
    along = batchops("purge", "t", "--where", "made < 300", "--url", database.url, "-n")
    assert along.code == 0
    said = along.out + along.err
    assert "match: the server's own plan finds the rows" in said
    if database.backend != "sqlite":  # which counts its rows at ANALYZE alone
        assert "rows read, " in said
    other = batchops("purge", "t", "--where", "made < 19000", "--url", database.url, "-n")
    assert other.code == 0
    assert ("disk order" if database.backend == "postgresql" else "named by id") in other.out + other.err
