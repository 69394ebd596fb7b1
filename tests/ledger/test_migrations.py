"""A ledger of an older version is brought up to date in place, and nothing that it knew is lost."""

import re

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from batchops.errors import RefusedError
from batchops.ledger import migrations
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.ledger import version_1, version_3
from tests.ledger.version_1 import OldRun
from tests.services.database import Database

ROWS = 100
ONCE = {"all_rows": True, "set": ["m = m + 1"]}
NEWEST = migrations.MIGRATIONS[-1].version


@pytest.fixture
def old(database: Database) -> Database:
    numbered(database, ROWS, m=("integer", "0"))
    version_1.tables(database)
    return database


def layout(database: Database) -> object:
    """Columns and indexes of the ledger's tables, as the catalog has them."""
    inspector = sa.inspect(database.engine)
    names = sorted(name for name in inspector.get_table_names() if name.startswith("batchops_"))
    return {
        name: (
            [(c["name"], str(c["type"]).partition(" COLLATE")[0], c["nullable"]) for c in inspector.get_columns(name)],
            sorted((i["name"], i["column_names"]) for i in inspector.get_indexes(name)),
        )
        for name in names
    }


@pytest.mark.in_turn
def test_what_was_done_stays_done(old: Database) -> None:
    """Though the key of then was a hash of where the database was."""
    version_1.add(old, OldRun())
    finished = Job(old, "backfill", **ONCE)()
    assert (finished.reason, finished.run) == ("already-done", 1)
    assert old.column("SELECT DISTINCT m FROM t") == [0]


@pytest.mark.in_turn
def test_what_was_begun_is_gone_on_with(old: Database) -> None:
    version_1.add(old, OldRun(state="failed", behind=60, rows=60))
    old.execute("UPDATE t SET m = 1 WHERE id <= 60")
    finished = Job(old, "backfill", **ONCE)()
    assert (finished.reason, finished.run, finished.rows) == ("done", 1, ROWS)
    assert old.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.wide(1)
def test_the_tables_become_those_of_a_new_ledger(old: Database, new_database: NewDatabase) -> None:
    version_1.add(old, OldRun())
    Job(old, "backfill", **ONCE)()
    fresh = new_database("mariadb" if old.backend == "mysql" else old.backend)
    numbered(fresh, 1, m=("integer", "0"))
    Job(fresh, "backfill", **ONCE)()
    assert layout(old) == layout(fresh)
    query = "SELECT version FROM batchops_ledger"
    assert old.scalar(query) == fresh.scalar(query) == NEWEST
    assert old.scalar("SELECT database_id FROM batchops_ledger") != fresh.scalar(
        "SELECT database_id FROM batchops_ledger"
    )


@pytest.mark.full
@pytest.mark.in_turn
def test_a_ledger_of_the_names_before_is_brought_up_to_date(database: Database, new_database: NewDatabase) -> None:
    """Tables, columns, strategies and cursors have other names; what was begun goes on, what was done stays done."""
    numbered(database, ROWS, m=("integer", "0"))
    version_3.tables(database)
    begun = OldRun(state="failed", behind=60, rows=60)
    version_3.add(database, begun, OldRun(where="id > 5"))
    database.execute("UPDATE t SET m = 1 WHERE id <= 60")
    finished = Job(database, "backfill", **ONCE)(strategy="key")
    assert (finished.reason, finished.run, finished.rows, finished.strategy) == ("done", 1, ROWS, "key")
    assert database.column("SELECT DISTINCT m FROM t") == [1]
    assert Job(database, "backfill", where="id > 5", set=["m = m + 1"])().reason == "already-done"
    fresh = new_database("mariadb" if database.backend == "mysql" else database.backend)
    numbered(fresh, 1, m=("integer", "0"))
    Job(fresh, "backfill", **ONCE)()
    assert layout(database) == layout(fresh)
    assert database.scalar("SELECT version FROM batchops_ledger") == NEWEST


@pytest.mark.in_turn
def test_a_ledger_without_requests_gets_their_table(database: Database, batchops: Batchops) -> None:
    """Until then nobody takes it for none at all: what is done stays done."""
    numbered(database, ROWS, m=("integer", "0"))
    assert Job(database, "backfill", **ONCE)().reason == "done"
    database.script("DROP TABLE batchops_request")
    database.execute("UPDATE batchops_ledger SET version = 4")
    older = batchops("pause", "1", "--url", database.url)
    assert (older.code, "older version" in older.err) == (12, True), older
    assert Job(database, "backfill", **ONCE)().reason == "already-done"
    assert database.scalar("SELECT count(*) FROM batchops_request") == 0


@pytest.mark.wide(2)
def test_the_leases_of_a_queue_make_room_for_those_of_runs(database: Database, batchops: Batchops) -> None:
    """Both had the name batchops_lease, one after the other."""
    numbered(database, ROWS, m=("integer", "0"))
    version_3.tables(database)
    version_3.add(database, OldRun())
    database.script(
        "CREATE TABLE batchops_lease (relation VARCHAR(255) NOT NULL, row_key VARCHAR(255) NOT NULL, lease VARCHAR(40),"
        " lease_until DOUBLE PRECISION, attempts INTEGER NOT NULL, next_at DOUBLE PRECISION, failure TEXT,"
        " before_claim TEXT, PRIMARY KEY (relation, row_key));\n"
        "INSERT INTO batchops_lease (relation, row_key, attempts) VALUES ('jobs', '1', 3);\n"
    )
    assert Job(database, "backfill", **ONCE)().reason == "already-done"
    assert database.rows("SELECT relation, attempts FROM batchops_row_lease") == [("jobs", 3)]
    assert database.scalar("SELECT count(*) FROM batchops_lease") == 0
    assert batchops("queue", "init", "t", "--lease-in", "table", "--url", database.url).out == ""


@pytest.mark.wide(2)
def test_printed_sql_is_enough_for_a_role_that_may_not_alter(old: Database, batchops: Batchops) -> None:
    """Whoever may runs what is printed; the run of the other role fills in the rest."""
    version_1.add(old, OldRun())
    printed = batchops("ledger", "init", "--url", old.url).out
    assert "CREATE TABLE IF NOT EXISTS batchops_run" not in printed
    for statement in printed.split(";\n")[:-1]:
        old.execute(statement)
    assert "batchops_run" not in batchops("ledger", "init", "--url", old.url).out
    assert Job(old, "backfill", **ONCE)().reason == "already-done"
    up_to_date = batchops("ledger", "init", "--url", old.url)
    assert (up_to_date.code, up_to_date.out.count("\n")) == (0, 1), up_to_date


@pytest.mark.in_turn
def test_a_step_that_was_cut_short_is_gone_on_with(old: Database) -> None:
    """Where each statement is a transaction of its own, any of them may be the last."""
    version_1.add(old, OldRun(), OldRun(where="id > 5"))
    statements = [s.statement(None) for s in migrations.MIGRATIONS[0].changes]
    with old.engine.begin() as connection:
        for statement in statements[: len(statements) // 2]:
            connection.execute(statement)
    assert Job(old, "backfill", **ONCE)().run == 1
    assert Job(old, "backfill", where="id > 5", set=["m = m + 1"])().run == 2
    assert old.scalar("SELECT version FROM batchops_ledger") == NEWEST


@pytest.mark.in_turn
def test_a_dry_run_writes_nothing_to_an_old_ledger(old: Database, batchops: Batchops) -> None:
    version_1.add(old, OldRun())
    before = layout(old)
    dry = batchops("backfill", "t", "--all-rows", "--set", "m = m + 1", "-n", "--url", old.url)
    assert dry.code == 0, dry
    assert "older version" in dry.err
    listed = batchops("runs", "--url", old.url)
    assert (listed.code, "ledger init --apply" in listed.err) == (12, True), listed
    assert layout(old) == before
    assert batchops("ledger", "init", "--apply", "--url", old.url).code == 0
    assert batchops("runs", "--json", "--url", old.url).json()["runs"][0]["state"] == "done"


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.in_turn
def test_a_role_that_may_not_alter_is_told_the_sql(new_database: NewDatabase, batchops: Batchops, name: str) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    version_1.tables(database)
    version_1.add(database, OldRun())
    role, mysql = f"m_{database.name}"[-32:], database.backend == "mysql"
    who = f"'{role}'@'%'" if mysql else f'"{role}"'
    database.execute(f"CREATE USER {who} IDENTIFIED BY 'x'" if mysql else f"CREATE ROLE {who} LOGIN PASSWORD 'x'")
    try:
        for table in ("t", "batchops_run", "batchops_lane", "batchops_beat"):
            database.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {who}")
        url = make_url(database.url).set(username=role, password="x").render_as_string(hide_password=False)
        words = ("backfill", "t", "--all-rows", "--set", "m = m + 1", "-y", "--url", url)
        refused = batchops(*words)
        assert refused.code == 12, refused
        statements = [s.strip() for s in refused.err.partition("statements below")[2].partition("\n")[2].split(";")]
        for statement in filter(None, statements):
            database.execute(statement)
            if table := re.match(r"(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE \w+ RENAME TO) (\w+)", statement):
                database.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table[1]} TO {who}")
        done = batchops(*words, "--json")
        assert done.json()["reason"] == "already-done", done
    finally:
        database.execute(f"DROP USER {who}" if mysql else f"DROP OWNED BY {who}")
        if not mysql:
            database.execute(f"DROP ROLE {who}")


@pytest.mark.in_turn
def test_a_ledger_of_a_newer_version_is_left_alone(sqlite: Database, batchops: Batchops) -> None:
    numbered(sqlite, ROWS, m=("integer", "0"))
    job = Job(sqlite, "backfill", **ONCE)
    job()
    sqlite.execute("UPDATE batchops_ledger SET version = version + 1")
    with pytest.raises(RefusedError, match="newer batchops"):
        job()
    assert batchops("runs", "--url", sqlite.url).code == 12


@pytest.mark.full
@pytest.mark.in_turn
def test_two_first_runs_bring_it_up_to_date_together(old: Database, batchops: Batchops) -> None:
    version_1.add(old, *(OldRun(job=f"{n:064}", where=f"id > {n}") for n in range(1_200)))
    words = ("backfill", "t", "--all-rows", "--set", "m = 1", "-yq", "--url", old.url)
    both = [batchops.start(*words[:4], f"m = {n}", *words[5:]) for n in (1, 2)]
    assert [(job.communicate()[1], job.returncode) for job in both] == [("", 0)] * 2
    assert Job(old, "backfill", where="id > 0", set=["m = m + 1"])().reason == "already-done"
    assert old.scalar("SELECT count(*) FROM batchops_run WHERE work IS NULL") == 0
