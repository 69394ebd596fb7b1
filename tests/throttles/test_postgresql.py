"""PostgreSQL's signals on real servers: a standby whose replay is paused, sessions that wait for a batch's locks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from batchops.db.postgresql.replica_lag import RECONNECTS, ReplicaLag
from batchops.db.urls import address
from batchops.errors import UnreachableError
from batchops.throttles.probes import probe_database
from tests.clock import Clock
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.services.private import Private
from tests.services.standby import standby
from tests.throttles.run import ThrottledRun
from tests.waiting import until

PURGE = ("purge", "t", "--where", "v = 1", "-y")
ROWS = 2000
WAITS = """
SELECT clock_timestamp() - query_start > interval '2 s' FROM pg_stat_activity WHERE wait_event = 'SyncRep'
"""
SLOW = ("--batch-size", 20, "--sleep", "50ms", "--strategy", "key")


@pytest.fixture(scope="module")
def copy(private_postgresql: Private) -> Iterator[Private]:
    """A standby that streams as copy1."""
    with standby(private_postgresql, "copy1") as copy:
        with psycopg.connect(private_postgresql.url, autocommit=True) as primary:
            until(lambda: primary.execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").fetchone())
        yield copy


@pytest.fixture
def replicated(private_postgresql: Private, copy: Private, new_database: NewDatabase) -> Database:  # noqa: ARG001
    return filled(new_database("postgresql", at=replace(private_postgresql.server, version="?")))


def filled(database: Database) -> Database:
    database.script(
        "CREATE TABLE t (id integer PRIMARY KEY, v integer);"
        f"INSERT INTO t SELECT n, 1 FROM generate_series(1, {ROWS}) n"
    )
    return database


@contextmanager
def paused(copy: Private) -> Iterator[Callable[[], None]]:
    """The replay of that standby, until the block ends or what it gives is called."""
    with psycopg.connect(copy.url, autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            yield lambda: connection.execute("SELECT pg_wal_replay_resume()")
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def test_a_replica_that_falls_behind_holds_the_run_until_it_is_back(
    replicated: Database, copy: Private, batchops: Batchops, tmp_path: Path
) -> None:
    run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", replicated.url, *SLOW, "--throttle", "replica-lag=1s")
    run.until(lambda: run.events("committed"))
    with paused(copy) as resume:
        why = run.until_throttled()
        done = len(run.events("committed"))
        run.until(lambda: len(run.reasons()) > 3)
        assert len(run.events("committed")) == done
        resume()
        end = run.end()
    assert why["reason"].startswith("replica-lag of copy1 (127.0.0.1): ")
    assert (why["throttle"], why["limit"], why["value"] > 1.0) == ("replica-lag", 1.0, True)
    assert (end["reason"], end["rows"]) == ("done", ROWS)
    assert end["throttled_by"][0]["throttle"] == "replica-lag"
    values = [one["value"] for one in run.reasons() if one["value"] is not None]
    assert max(values) > why["value"], "it grows although the standby says nothing new"


@pytest.mark.full
def test_a_replica_with_a_limit_of_its_own_may_be_late(
    replicated: Database, copy: Private, batchops: Batchops, tmp_path: Path
) -> None:
    """It is late for seconds, which the limit of the others does not allow."""
    fast = ("--batch-size", 20, "--sleep", "30ms", "--strategy", "key", "--throttle", "replica-lag=1s")
    with paused(copy):
        free = ThrottledRun(
            batchops,
            tmp_path,
            *PURGE,
            "--url",
            replicated.url,
            *fast,
            "--replica",
            "copy1,limit=1h",
            "--max-rows",
            ROWS,
        )
        end = free.end()
    assert (end["rows"], end["seconds"] > 2.0, free.reasons()) == (ROWS, True, [])
    plan = batchops(*PURGE, "--url", replicated.url, "-n", "--replica", "copy1,limit=1h").out
    assert "replica-lag of copy1 (127.0.0.1): " in plan
    assert "(limit 1 h)" in plan
    for replica, code, says in (
        ("copy9,limit=1h", 12, '"copy9" is no replica of this server'),
        ("postgresql://copy1/x", 2, "--replica NAME,limit=4h"),
        ("copy1", 2, "neither a URL nor like copy1,limit=4h"),
        ("copy1,limit=5", 2, "has no unit"),
    ):
        wrong = batchops(*PURGE, "--url", replicated.url, "--replica", replica)
        assert (wrong.code, says in wrong.err) == (code, True), wrong.err


@pytest.mark.full
def test_commits_that_wait_for_a_slow_replica_hold_the_run(
    private_postgresql: Private, replicated: Database, copy: Private, batchops: Batchops, tmp_path: Path
) -> None:
    replicated.execute(f'ALTER DATABASE "{replicated.name}" SET synchronous_commit = remote_apply')
    with psycopg.connect(private_postgresql.url, autocommit=True) as primary:
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'copy1'")
        primary.execute("SELECT pg_reload_conf()")
        try:
            run = ThrottledRun(
                batchops, tmp_path, *PURGE, "--url", replicated.url, *SLOW, "--throttle",
                "commit-latency=300ms", "--throttle", "replica-lag=off",
            )  # fmt: skip
            run.until(lambda: run.events("committed"))
            with paused(copy):
                until(lambda: (primary.execute(WAITS).fetchone() or (False,))[0])
            why = run.until_throttled()
            assert (why["throttle"], why["value"] > 0.3, why["limit"]) == ("commit-latency", True, 0.3)
            assert run.end()["rows"] == ROWS
        finally:
            primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
            primary.execute("SELECT pg_reload_conf()")


def test_it_is_watched_without_a_flag_where_a_replica_is_there_and_off_means_off(
    replicated: Database, batchops: Batchops
) -> None:
    def plan(*more: object) -> dict[str, Any]:
        found = batchops(*PURGE, "--url", replicated.url, "-n", "--json", *more).json()["plan"]["throttles"]
        return {one["throttle"]: one for one in found}

    assert {name: (one["limit"], one["on"]) for name, one in plan().items()} == {
        "replica-lag": (10.0, True), "blocked": (1.0, True),
    }  # fmt: skip
    off = plan("--throttle", "replica-lag=off", "--throttle", "blocked=off")
    assert [one["on"] for one in off.values()] == [False, False]
    asked = plan("--throttle", "replica-lag")["replica-lag"]
    assert (asked["of"], asked["limit"], asked["value"] >= 0) == ("copy1 (127.0.0.1)", 10.0, True)


@pytest.mark.full
def test_a_role_that_may_not_see_it_is_told_the_grant(replicated: Database, batchops: Batchops) -> None:
    role = f"plain_{replicated.name}"
    replicated.script(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO {role}; ALTER TABLE t OWNER TO {role}"
    )
    url = make_url(replicated.url).set(username=role, password="x").render_as_string(hide_password=False)
    grant = f"GRANT pg_read_all_stats TO {role};"
    try:
        shown = batchops(*PURGE, "--url", url, "-n")
        assert f"replica-lag: off (not readable: {grant}); blocked (limit 1 s)" in shown.out
        asked = batchops(*PURGE, "--url", url, "--throttle", "replica-lag=5s")
        assert (asked.code, grant in asked.err) == (12, True), asked.err
        assert batchops(*PURGE, "--url", url, "--max-rows", 10, "--json").json()["rows"] == 10
        replicated.execute(grant.rstrip(";"))
        assert batchops(*PURGE, "--url", url, "--throttle", "replica-lag=1h", "--json").json()["reason"] == "done"
    finally:
        replicated.script(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.full
def test_a_replica_that_has_gone_is_missed_for_a_while(private_postgresql: Private) -> None:
    """By a clock of its own."""
    clock = Clock()
    signal = ReplicaLag(clock)
    with closing(probe_database(address(private_postgresql.url, {}))) as probes:

        def read() -> object:
            with probes.reading() as connection:
                return signal.read(connection).of

        with standby(private_postgresql, "copy2"):
            until(lambda: "copy2" in str(known(read)))
        until(lambda: "is gone" in str(known(read)))
        clock.now += RECONNECTS
        assert "gone" not in str(known(read))


def known(read: Callable[[], object]) -> object:
    """What it gives, or why it gives nothing."""
    try:
        return read()
    except UnreachableError as error:
        return error.message


@pytest.mark.full
def test_a_session_that_waits_for_a_batch_holds_the_next_one(
    postgresql: Database, batchops: Batchops, tmp_path: Path
) -> None:
    """A trigger keeps the locks of each batch for two seconds; a default wakes up with the first such batch."""
    filled(postgresql)
    postgresql.script("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
        CREATE TRIGGER slow AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION slow();
    """)
    over = threading.Event()

    def alter() -> None:
        with psycopg.connect(postgresql.url, autocommit=True) as other:
            while not over.is_set():
                other.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; COMMIT")

    waiter = threading.Thread(target=alter)
    waiter.start()
    try:
        run = ThrottledRun(
            batchops, tmp_path, *PURGE, "--url", postgresql.url, "--batch-size", 400, "--allow", "triggers",
            "--strategy", "key",
        )  # fmt: skip
        run.until(run.reasons)
    finally:
        over.set()
        waiter.join()
    end = run.end()
    why = run.reasons()[0]
    assert why["reason"].startswith("blocked of session ")
    assert (why["limit"], why["value"] > 1.0) == (1.0, True)
    assert (end["reason"], end["rows"]) == ("done", ROWS)
