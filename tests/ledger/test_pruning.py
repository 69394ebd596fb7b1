"""A ledger with years of runs in it: each run clears up a little, and what proves a backfill done is kept."""

import json

import pytest
import sqlalchemy as sa

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.ledger import version_1
from tests.ledger.version_1 import OldRun
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 100
DAY = 86400.0
ONCE = {"all_rows": True, "set": ["m = m + 1"]}
COPY = {
    "postgresql": "generate_series(1, {n}) AS s(i)",
    "mysql": "seq_1_to_{n} AS s",
    "sqlite": "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {n}) SELECT i FROM c) AS s",
}


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, ROWS, m=("integer", "0"))
    return database


def age(database: Database, days: float) -> None:
    database.execute(f"UPDATE batchops_run SET ended_at = ended_at - {days * DAY}")


def multiply(database: Database, number: int) -> None:
    """Copies of run 1, each with its worker."""
    for name, key in (("batchops_run", "run"), ("batchops_worker", "run")):
        columns = [c["name"] for c in sa.inspect(database.engine).get_columns(name) if c["name"] != key]
        quote = "`" if database.backend == "mysql" else '"'
        listed = ", ".join(f"{quote}{column}{quote}" for column in columns)
        other = "seq" if database.backend == "mysql" else "i"
        database.execute(
            f"INSERT INTO {name} ({key}, {listed}) SELECT 1000 + {other}, {listed} FROM {name}, "
            f"{COPY[database.backend].format(n=number)} WHERE {key} = 1"
        )


def runs(database: Database) -> int:
    number: int = database.scalar("SELECT count(*) FROM batchops_run")
    return number


@pytest.mark.full
def test_a_run_forgets_a_thousand_old_ones_and_no_more(table: Database) -> None:
    Job(table, "purge", where="m = 7")()
    multiply(table, 1_500)
    age(table, 91)
    Job(table, "purge", where="m = 8")()
    assert runs(table) == 502
    Job(table, "purge", where="m = 8")()
    assert runs(table) == 2
    assert table.scalar("SELECT count(*) FROM batchops_worker") == 2


@pytest.mark.full
def test_more_old_runs_than_a_statement_takes_values(table: Database, batchops: Batchops) -> None:
    """250,010 of them made every later run fail."""
    Job(table, "purge", where="m = 7")()
    multiply(table, 250_010)
    age(table, 91)
    assert Job(table, "purge", where="m = 8")().reason == "done"
    listed = batchops("runs", "--limit", "200000", "--json", "--url", table.url)
    assert listed.code == 0, listed.err
    assert len(listed.json()["runs"]) == 200_000
    pruned = batchops("ledger", "prune", "--url", table.url)
    assert (pruned.code, pruned.out) == (0, "Forgot 249,011 runs.\n"), pruned
    assert runs(table) == 1


def test_what_proves_a_backfill_done_is_never_forgotten(table: Database, batchops: Batchops) -> None:
    job = Job(table, "backfill", **ONCE)
    job()
    age(table, 1000)
    Job(table, "purge", where="m = 7")()
    assert batchops("ledger", "prune", "--older-than", "1d", "--url", table.url).out == "Forgot 0 runs.\n"
    assert job().reason == "already-done"
    assert table.column("SELECT DISTINCT m FROM t") == [1]


def test_once_it_is_begun_anew_the_run_before_may_go(table: Database) -> None:
    job = Job(table, "backfill", **ONCE)
    job()
    job(restart=True)
    age(table, 1000)
    Job(table, "purge", where="m = 7")()
    assert table.column("SELECT run FROM batchops_run ORDER BY run") == [2, 3]


def test_of_a_first_version_the_last_run_of_each_backfill_is_kept(table: Database) -> None:
    version_1.tables(table)
    old = 200 * DAY
    version_1.add(table, OldRun(ended=old), OldRun(verb="purge", where="m = 7", ended=old), OldRun(ended=old))
    assert Job(table, "backfill", **ONCE)().reason == "already-done"
    assert Job(table, "purge", where="m = 9")().run == 4
    assert table.column("SELECT run FROM batchops_run ORDER BY run") == [3, 4]


@pytest.mark.parametrize("family", ["sqlite"])
def test_what_a_run_asks_the_ledger_is_found_by_an_index(family: str, new_database: NewDatabase) -> None:
    database = new_database(family)
    numbered(database, ROWS, m=("integer", "0"))
    asked: list[str] = []

    def hear(_: object, __: object, sql: str, ___: object, ____: object, _____: bool) -> None:
        if "batchops_run" in sql and sql.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append(sql)

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        Job(database, "backfill", **ONCE)()
        Job(database, "backfill", **ONCE)()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)
    with database.engine.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (0,) * sql.count("?")).all()) for sql in asked
        ]
    assert len(plans) > 3
    assert [plan for plan in plans if "SCAN batchops_run" in plan] == []


def test_requests_go_with_their_run_and_old_ones_that_are_over(table: Database, batchops: Batchops) -> None:
    Job(table, "purge", where="m = 7")()
    for words in (("pause", "--database", "a"), ("resume", "--database"), ("pause", "--database", "b"),
                  ("pause", "--job", "1")):  # fmt: skip
        assert batchops(*words, "--url", table.url).code == 0
    table.execute(f"UPDATE batchops_request SET requested_at = requested_at - {91 * DAY}")
    table.execute("UPDATE batchops_request SET scope = 'run 1' WHERE scope <> 'database'")
    age(table, 91)
    assert batchops("ledger", "prune", "--url", table.url).out == "Forgot 1 run.\n"
    assert table.rows("SELECT action, reason FROM batchops_request") == [("pause", "b")]


def test_settings_of_a_job_go_once_later_ones_have_replaced_them(table: Database, batchops: Batchops) -> None:
    """One in effect stays, whatever its age: the job's next run obeys it."""
    Job(table, "purge", where="m = 7")()
    for words in (("--sleep", "1s", "--batch-size", "7"), ("--batch-size", "8"), ("--throttle", "load=9000"),
                  ("--throttle", "load=8000"), ("--sleep", "2s")):  # fmt: skip
        done = batchops("set", "--job", "1", *words, "--url", table.url)
        assert done.code == 0, done
    batchops("ledger", "prune", "--url", table.url)
    assert table.scalar("SELECT count(*) FROM batchops_request") == 5
    table.execute(f"UPDATE batchops_request SET requested_at = requested_at - {91 * DAY} WHERE number < 5")
    before = Job(table, "purge", where="m = 7")()
    assert before.reason == "done"
    left = [json.loads(text) for text in table.column("SELECT settings FROM batchops_request ORDER BY number")]
    assert [[*one] for one in left] == [["batch_size"], ["throttle"], ["sleep"]]
    assert [one.get("batch_size", 8) for one in left] == [8, 8, 8]
