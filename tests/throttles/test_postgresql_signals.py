"""PostgreSQL's other signals, each brought about on a server of its own and ended again while a purge waits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from batchops.db.postgresql.signals import SIGNALS
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import postgres
from tests.services.database import Database
from tests.services.private import Private
from tests.services.server import UnavailableError
from tests.throttles.run import ThrottledRun
from tests.throttles.test_postgresql import PURGE, ROWS, filled
from tests.waiting import until

Hold = Callable[..., ThrottledRun]
FULL = "archive-is-full"


@pytest.fixture(scope="module")
def archiving() -> Iterator[Private]:
    """Archives its WAL to nowhere as long as that is not FULL, and looks for dead rows each second."""
    try:
        server = postgres.private()
    except UnavailableError as error:
        pytest.skip(str(error))
    full = f"--archive_command=test ! -e {server.folder / FULL}"
    more = ("--archive_mode=on", full, "--autovacuum_naptime=1s", "--log_connections=on")
    with replace(server, argv=[*server.argv, *more]) as server:
        yield server


@pytest.fixture
def table(archiving: Private, new_database: NewDatabase) -> Database:
    return filled(new_database("postgresql", at=replace(archiving.server, version="?")))


@pytest.fixture
def hold(table: Database, batchops: Batchops, tmp_path: Path) -> Hold:
    """A purge with that throttle, which waits."""

    def hold(throttle: str, *more: object) -> ThrottledRun:
        return ThrottledRun(batchops, tmp_path, *PURGE, "--url", table.url, "--throttle", throttle, *more)

    return hold


def switch_wal(table: Database) -> None:
    """Begin a new file of WAL, so that the one before it is to be archived."""
    table.execute("UPDATE t SET v = v")
    table.execute("SELECT pg_switch_wal()")


def archive_once(table: Database) -> None:
    """Have some WAL archived: before that there is no reading."""
    switch_wal(table)
    until(lambda: table.scalar("SELECT last_archived_wal FROM pg_stat_archiver"))


@contextmanager
def session(table: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(table.url, autocommit=True) as connection:
        yield connection


@pytest.mark.full
def test_a_logical_slot_that_nobody_reads_never_recovers(table: Database, hold: Hold) -> None:
    table.execute("SELECT pg_create_logical_replication_slot('unread', 'pgoutput')")
    try:
        table.execute("UPDATE t SET v = v")
        run = hold("slot-lag=1kB", "--throttle-timeout", "2s")
        why, end = run.until_throttled(), run.end()
    finally:
        table.execute("SELECT pg_drop_replication_slot('unread')")
    assert why["reason"].startswith("slot-lag of slot unread (no consumer): ")
    assert why["reason"].endswith("kB (limit 1 kB)")
    assert (end["exit"], end["rows"]) == (75, 0)
    assert "slot unread" in end["error"]["message"]


@pytest.mark.full
def test_an_old_snapshot_of_another_session(table: Database, hold: Hold) -> None:
    with session(table) as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")
        for _ in range(100):
            table.execute("SELECT txid_current()")
        run = hold("xmin-age=90")
        assert run.until_throttled()["reason"].startswith(f"xmin-age of session {other.info.backend_pid}: ")
        other.execute("COMMIT")
        assert run.end()["rows"] == ROWS


@pytest.mark.full
def test_dead_rows_that_are_not_cleaned_up(table: Database, hold: Hold) -> None:
    table.script("ALTER TABLE t SET (autovacuum_enabled = off)")
    table.execute("UPDATE t SET v = v")
    until(lambda: table.scalar("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'") >= ROWS)
    run = hold(f"dead-tuples={ROWS - 1}")
    assert run.until_throttled()["reason"].startswith(f"dead-tuples: {ROWS:,} (limit ")
    table.execute("VACUUM t")
    assert run.end()["rows"] == ROWS


def test_autovacuum_at_work_on_the_table(table: Database, hold: Hold) -> None:
    table.script("""
        ALTER TABLE t SET (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0,
                           autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
        UPDATE t SET v = v
    """)
    until(lambda: table.scalar("SELECT 1 FROM pg_stat_progress_vacuum"))
    run = hold("vacuum", "--statement-timeout", "30s")
    assert run.until_throttled()["reason"].startswith("vacuum: autovacuum of t (")
    table.execute("ALTER TABLE t SET (autovacuum_enabled = off)")
    assert run.end()["rows"] == ROWS


@pytest.mark.full
def test_sessions_of_others_that_are_at_work(table: Database, hold: Hold) -> None:
    with session(table) as other:
        sleeper = threading.Thread(target=sleep, args=(other,))
        sleeper.start()
        run = hold("active-sessions=0")
        why = run.until_throttled()
        other.cancel()
        sleeper.join()
    assert (why["reason"], why["value"]) == ("active-sessions: 1 (limit 0)", 1.0)
    assert run.end()["rows"] == ROWS


def sleep(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(600)")


@pytest.mark.full
def test_wal_that_waits_to_be_archived(archiving: Private, table: Database, hold: Hold) -> None:
    def failed() -> int:
        return int(table.scalar("SELECT failed_count FROM pg_stat_archiver"))

    archive_once(table)
    (archiving.folder / FULL).touch()
    for _ in range(4):
        switch_wal(table)
    until(failed)
    run = hold("archive-backlog=2")
    assert run.until_throttled()["value"] > 2
    (archiving.folder / FULL).unlink()
    table.execute("SELECT pg_switch_wal()")
    assert run.end()["rows"] == ROWS


@pytest.mark.full
def test_wal_that_others_write(table: Database, hold: Hold) -> None:
    over = threading.Event()

    def write() -> None:
        with session(table) as other:
            other.execute("CREATE TABLE log (note text)")
            while not over.wait(0.05):
                other.execute("INSERT INTO log SELECT repeat('x', 1000) FROM generate_series(1, 200)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run = hold("wal-rate=100kB/s", "--batch-size", 100, "--sleep", "200ms")
        why = run.until_throttled()
    finally:
        over.set()
        writer.join()
    assert why["reason"].startswith("wal-rate: ")
    assert why["reason"].endswith("B/s (limit 100 kB/s)")
    assert run.end()["rows"] == ROWS


def test_defaults_with_nothing_to_see_open_no_connection(
    archiving: Private, table: Database, batchops: Batchops
) -> None:
    """By the server's own log: without a replica, and with batches that are quick."""

    def connections(*flags: object) -> int:
        before = archiving.log.read_text().count("application_name=batchops")
        limits = ("--max-rows", 200, "--batch-size", 10, "--strategy", "key", "--sleep", "5ms")
        assert batchops(*PURGE, "--url", table.url, *limits, *flags, "--json").json()["rows"] == 200
        return archiving.log.read_text().count("application_name=batchops") - before

    connections()  # it makes the ledger
    off = min(connections("--throttle", "replica-lag=off", "--throttle", "blocked=off") for _ in range(2))
    # On a busy machine a run may open one more for its heartbeat, or to see what a slow batch waits for.
    until(lambda: connections() == off)
    assert connections("--throttle", "blocked") > off


def test_all_are_listed_with_their_values_or_the_grant(table: Database, batchops: Batchops) -> None:
    def listed(url: str) -> dict[str, dict[str, Any]]:
        found = batchops("throttles", "t", "--url", url, "--json").json()["throttles"]
        return {one["throttle"]: one for one in found}

    archive_once(table)
    all_of_them = listed(table.url)
    assert set(SIGNALS) < set(all_of_them)
    assert [name for name, one in all_of_them.items() if one["error"] or one["grant"]] == []
    role = f"plain_{table.name}"
    table.script(f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON t TO {role}")
    try:
        url = make_url(table.url).set(username=role, password="x").render_as_string(hide_password=False)
        denied = {name: one["grant"] for name, one in listed(url).items() if one["error"]}
        text = batchops("throttles", "--url", url)
    finally:
        table.script(f"DROP OWNED BY {role}; DROP ROLE {role}")
    grant = f"GRANT pg_read_all_stats TO {role};"
    by_stats = dict.fromkeys(("replica-lag", "vacuum", "active-sessions", "active-per-cpu"), grant)
    assert denied == by_stats | {"free-disk": f"GRANT pg_read_all_settings TO {role};"}
    assert text.code == 0
    assert f"replica-lag         {grant}  (limit 10 s, by default)\n" in text.out
    assert "dead-tuples         name a table" in text.out
