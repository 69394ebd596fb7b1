"""What the plan says, and how soon."""

import time
from typing import Any

import pexpect
import pytest

from tests.bulk.plan.situations import ROWS, numbers, parent
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

LONGEST = 15
"""Lines of the plan that a person reads before each run."""


def plan(batchops: Batchops, database: Database, *arguments: str) -> Any:
    done = batchops(*arguments, "--url", database.url, "--dry-run", "--json")
    assert done.code == 0, done
    return done.json()["plan"]


def test_everything_is_said(batchops: Batchops, january: Database) -> None:
    asked = (
        "purge",
        "flights",
        "--before",
        "2013-01-15",
        "--by",
        "time_hour",
        "--strategy",
        "key",
        "--max-rows",
        "9999",
    )
    said = plan(batchops, january, *asked, "--count")
    matching = january.scalar("SELECT count(*) FROM flights WHERE time_hour < '2013-01-15'")
    assert (said["estimate"], said["estimated_by"]) == (matching, "counted")
    assert said["key"] == ["id"]
    assert said["limits"] == "9,999 rows"
    assert [probe["place"] for probe in said["explained"]] == ["start", "middle", "end"]
    assert len({probe["statement"] for probe in said["explained"]}) == 3
    assert all(probe["explain"] for probe in said["explained"])
    empty = [
        name for name in ("server_version", "cutoff", "pacing", "undo", "space", "seconds_basis") if not said[name]
    ]
    assert empty == []
    assert said["checks"] == []
    assert january.backend != "sqlite" or said["free_bytes"] > 0


def test_the_everyday_plan_is_short(batchops: Batchops, january: Database) -> None:
    """As a person sees it at a terminal before saying no."""
    command, *arguments = batchops.argv("purge", "flights", "--where", "dep_time IS NULL", "--url", january.url)
    env = batchops.environment({"TERM": "xterm"})
    terminal = pexpect.spawn(command, arguments, env=env, encoding="utf-8", timeout=60, dimensions=(40, 160))
    terminal.expect("Delete .* rows? from \\w+ on .*\\?")
    shown = [line for line in str(terminal.before).splitlines() if line.strip() and "warning:" not in line]
    terminal.sendline("n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    assert "purge flights" in shown[0]
    assert 8 < len(shown) <= LONGEST, shown
    assert any("first SQL" in line and "DELETE" in line for line in shown)


def test_it_says_where_it_goes_on_and_how_fast_it_went(batchops: Batchops, january: Database) -> None:
    asked = ("purge", "flights", "--where", "dep_delay < 0", "--strategy", "key")
    assert batchops(*asked, "--url", january.url, "-y", "--max-rows", "5000").code == 0
    said = plan(batchops, january, *asked)
    assert "starts where run 1 ended (max-rows)" in said["resume"]
    assert "small idle machine" in said["seconds_basis"] or "as run 1 went" in said["seconds_basis"]


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("kind", "make", "words"),
    [
        ("postgresql", "ALTER TABLE t SET UNLOGGED", "unlogged"),
        ("mariadb", "ALTER TABLE t ENGINE = MyISAM", "not support transactions"),
        ("mariadb", "ALTER TABLE t ADD SYSTEM VERSIONING", "keeps its history"),
    ],
)
def test_storage_is_warned_of(batchops: Batchops, new_database: NewDatabase, kind: str, make: str, words: str) -> None:
    database = new_database(kind)
    parent(database)
    database.execute(make)
    assert any(words in warning for warning in plan(batchops, database, "purge", "t", "--all-rows")["warnings"])
    done = batchops("purge", "t", "--where", "kind = 1", "--url", database.url, "-y")
    assert done.code == 0, done
    assert words in done.err
    assert database.scalar("SELECT count(*) FROM t") == ROWS // 2


def test_no_transactions_no_counting_up(batchops: Batchops, mariadb: Database) -> None:
    """What must not be done twice is refused where a failed batch stays half done, whatever is allowed."""
    parent(mariadb)
    mariadb.execute("ALTER TABLE t ENGINE = MyISAM")
    job = ("backfill", "t", "--all-rows", "--url", mariadb.url, "-y", "--set")
    refused = batchops(*job, "n = n + 1")
    assert refused.code == 12
    assert "could be applied twice" in refused.err
    assert batchops(*job, "n = 7").code == 0
    assert mariadb.scalar("SELECT count(*) FROM t WHERE n = 7") == ROWS


def test_the_rows_of_a_small_table_are_counted(batchops: Batchops, database: Database) -> None:
    """A planner that knows nothing of the column takes all of them, or a few per mille of what it guesses."""
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i, i % 2 FROM {numbers(database, 3000)}")
    said = plan(batchops, database, "purge", "t", "--where", "kind = 1")
    assert (said["estimate"], said["estimated_by"]) == (1500, "counted")


def test_an_archive_takes_longer_than_a_purge_by_what_it_writes(batchops: Batchops, sqlite: Database) -> None:
    parent(sqlite, 40_000)
    plans = [
        plan(batchops, sqlite, *words, "t", "--where", "kind = 1")["seconds"]
        for words in (("purge",), ("archive", "--to", "old/", "--format", "csv"))
    ]
    assert plans[1] - plans[0] == pytest.approx(20_000 / 200_000, rel=0.1)


def test_a_parent_has_the_statistics_of_its_partitions_and_heirs(batchops: Batchops, postgresql: Database) -> None:
    """The server analyses partitions by itself, and their parent never."""
    postgresql.script(
        "CREATE TABLE t (id integer NOT NULL, kind integer NOT NULL) PARTITION BY RANGE (id);"
        "CREATE TABLE old PARTITION OF t FOR VALUES FROM (0) TO (2000);"
        "CREATE TABLE present PARTITION OF t FOR VALUES FROM (2000) TO (4000);"
        "CREATE TABLE coming PARTITION OF t FOR VALUES FROM (4000) TO (6000);"
        "INSERT INTO t SELECT i, i % 2 FROM generate_series(0, 3999) AS n(i); ANALYZE old; ANALYZE present"
    )
    said = plan(batchops, postgresql, "purge", "t", "--all-rows")
    assert said["table_rows"] == 4000
    assert said["table_bytes"] == postgresql.scalar("SELECT pg_table_size('old') + pg_table_size('present')")
    postgresql.script(
        "CREATE TABLE u (id integer NOT NULL); CREATE TABLE heir () INHERITS (u);"
        "CREATE TABLE its_heir () INHERITS (heir) WITH (autovacuum_enabled = off);"
        "INSERT INTO u VALUES (1); INSERT INTO its_heir SELECT generate_series(2, 4000); ANALYZE u, its_heir"
    )
    said = plan(batchops, postgresql, "purge", "u", "--all-rows")
    assert said["table_rows"] == 4000
    assert said["table_bytes"] == postgresql.scalar("SELECT pg_table_size('u') + pg_table_size('its_heir')")


@pytest.mark.full
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_an_old_snapshot_is_warned_of(batchops: Batchops, new_database: NewDatabase, kind: str) -> None:
    database = new_database(kind)
    parent(database)
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as old:
        old.exec_driver_sql("SELECT count(*) FROM t")
        time.sleep(7)
        warnings = plan(batchops, database, "purge", "t", "--all-rows")["warnings"]
    assert any("transaction open for" in warning for warning in warnings), warnings


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_twenty_million_rows(batchops: Batchops, database: Database, figures: Figures) -> None:
    """Measured, not asserted: the machine may be busy."""
    rows = 20_000_000
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i, i % 2 FROM {numbers(database, rows)}")
    database.execute("ANALYZE" if database.backend != "mysql" else "ANALYZE TABLE t")
    for more in ((), ("--strategy", "key")):
        took = []
        for _ in range(3):
            began = time.monotonic()
            said = plan(batchops, database, "purge", "t", "--where", "kind = 1", *more)
            took.append(time.monotonic() - began)
        figures(**{f"plan by {said['strategy']}": f"{min(took):.2f} to {max(took):.2f} s"})
        assert said["strategy"] in ("block", "key")
