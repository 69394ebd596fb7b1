"""Servers that fall, sessions that are ended, deadlocks, slow rows: the run goes on by itself, or says what to do."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.scenario import COUNT_UP, MATCHING, ROWS, SLOW, batches_done, job, make, wait_for_work
from tests.figures import Figures
from tests.leases import lease_ends
from tests.services.database import Database
from tests.services.private import Private
from tests.waiting import ended, until

_SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE application_name = 'batchops' AND datname = '{name}'",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()",
}
_END = {"postgresql": "SELECT pg_terminate_backend({session})", "mysql": "KILL {session}"}


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def private(request: pytest.FixtureRequest) -> Private:
    """A server that a test may stop and start."""
    server: Private = request.getfixturevalue(f"private_{request.param}")
    return server


@pytest.fixture
def owned(private: Private, new_database: NewDatabase) -> Database:
    """A database on it."""
    database = new_database(private.name, at=private.server)
    make(database)
    return database


def test_the_server_falls_and_comes_back(batchops: Batchops, private: Private, owned: Database) -> None:
    first = batchops.start(*job(owned, "--json", *SLOW))
    wait_for_work(first, owned)
    private.stop()
    private.start()
    code, out, err = ended(first)
    assert code == 0, (out, err)
    assert f'"rows": {MATCHING}' in out
    assert COUNT_UP.wrong(owned) is None
    assert owned.column("SELECT state FROM batchops_run") == ["done"]


@pytest.mark.full
def test_the_server_falls_while_the_run_is_paused(batchops: Batchops, private: Private, owned: Database) -> None:
    """It stays paused, as far as it knows and as the ledger says, and goes on once it is resumed."""
    first = batchops.start(*job(owned, "--lease", "3s", *SLOW))
    wait_for_work(first, owned)
    assert batchops("pause", "1", "disk is full", "--url", owned.url).code == 0
    until(lambda: batchops("show", "1", "--url", owned.url).out.count("disk is full") >= 2, first)
    until(lambda: "waiting   paused by" in batchops("show", "1", "--url", owned.url).out, first)
    done = batches_done(owned)
    private.stop()
    time.sleep(4)  # longer than the lease
    private.start()
    before = lease_ends(owned, "batchops_lease")
    until(lambda: lease_ends(owned, "batchops_lease") > before, first)
    assert batches_done(owned) == done
    assert batchops("resume", "1", "--url", owned.url).code == 0
    end = ended(first)
    assert (end.code, COUNT_UP.wrong(owned)) == (0, None), end


@pytest.mark.full
@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.full), "3"])
def test_batches_that_the_server_has_lost_are_done_again(
    batchops: Batchops, private_postgresql: Private, new_database: NewDatabase, workers: str
) -> None:
    """What was committed a moment before may not be on its disk yet: rows and progress are lost together."""
    server = private_postgresql
    server.stop()
    server.argv = [*server.argv, "--wal_writer_delay=10s"]
    server.start()
    owned = new_database("postgresql", at=server.server)
    make(owned)
    first = batchops.start(*job(owned, "--json", "--batch-size", "20", "--sleep", "20ms", "--workers", workers))
    wait_for_work(first, owned, 12)
    server.stop()
    server.start()
    code, out, err = ended(first)
    assert code == 0, (out, err)
    assert "does them again" in err
    assert f'"rows": {MATCHING}' in out
    assert COUNT_UP.wrong(owned) is None
    assert owned.column("SELECT state FROM batchops_run") == ["done"]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_server_falls_again_and_again(
    batchops: Batchops, private: Private, owned: Database, figures: Figures
) -> None:
    """More than one run may be needed where patience ends; never more than one statement's work is done."""
    falls = runs = 0
    code = 75
    while code == 75 and runs < 20:
        first = batchops.start(*job(owned, "-q", "--batch-size", "20", "--sleep", "100ms"))
        runs += 1
        while first.poll() is None and falls < 30:
            time.sleep(0.8)
            private.stop()
            private.start()
            falls += 1
        _, _, err = ended(first)
        code = 75 if first.returncode == 10 else first.returncode  # fell before the run had begun
    figures(falls=falls, runs=runs)
    assert code == 0, err
    assert COUNT_UP.wrong(owned) is None


@pytest.mark.full
def test_a_server_that_stays_down_longer_than_the_retry_timeout(
    batchops: Batchops, private: Private, owned: Database
) -> None:
    first = batchops.start(*job(owned, "--json", "--retry-timeout", "2s", *SLOW))
    wait_for_work(first, owned)
    private.stop()
    code, out, err = ended(first)
    private.start()
    assert code == 75, (out, err)
    assert "try again later" in out
    done = batchops(*job(owned, "--json"))
    assert done.code == 0, done
    assert done.json()["rows"] == MATCHING
    assert COUNT_UP.wrong(owned) is None


@pytest.mark.full
def test_a_server_that_hangs(batchops: Batchops, private: Private, owned: Database) -> None:
    """The half-open link in earnest: the server's processes are stopped, so that not even its own timeouts fire."""
    first = batchops.start(
        *job(owned, "--json", "--retry-timeout", "2s", "--statement-timeout", "1s", "--lock-timeout", "1s", *SLOW)
    )
    wait_for_work(first, owned)
    frozen = sessions(owned) if owned.backend == "postgresql" else [private.pid]
    for pid in frozen:
        signal_process(pid, signal.SIGSTOP)
    try:
        code, out, err = ended(first)
    finally:
        for pid in frozen:
            signal_process(pid, signal.SIGCONT)
    assert code in (0, 75), (out, err)
    assert batchops(*job(owned, "--json")).code == 0
    assert COUNT_UP.wrong(owned) is None


def signal_process(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def sessions(database: Database) -> list[int]:
    """The tool's sessions at the server."""
    return database.column(_SESSIONS[database.backend].format(name=database.name))


@contextmanager
def meanwhile(act: Callable[[], None], every: float) -> Iterator[list[int]]:
    """Somebody acts again and again; how often, in a list of one."""
    over, count = threading.Event(), [0]

    def work() -> None:
        while not over.wait(every):
            act()
            count[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


@pytest.mark.full
def test_sessions_are_ended_again_and_again(batchops: Batchops, served: Database) -> None:
    kills = batches = 0

    def act() -> None:
        nonlocal kills, batches
        if batches == (batches := batches_done(served)):
            return  # it has not got anywhere since the last time
        for session in sessions(served):
            with suppress(DBAPIError):  # it went by itself
                served.execute(_END[served.backend].format(session=session))
                kills += 1

    first = batchops.start(*job(served, "--json", *SLOW))
    wait_for_work(first, served)
    with meanwhile(act, 0.3):
        code, out, err = ended(first)
    assert code == 0, (out, err)
    assert kills >= 3
    assert f'"rows": {MATCHING}' in out
    assert COUNT_UP.wrong(served) is None


@pytest.mark.full
def test_a_deadlock_storm(batchops: Batchops, served: Database, figures: Figures) -> None:
    """A writer takes rows in the reverse order, hundreds in a transaction; both get on."""
    errors = commits = 0
    with served.engine.connect() as connection:
        if served.backend == "mysql":
            connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

        def act() -> None:
            nonlocal errors, commits
            start = ROWS - 97 * (commits + errors) % ROWS
            try:
                for key in range(start, max(0, start - 200), -2):
                    connection.execute(sa.text("UPDATE t SET kind = kind WHERE id = :key"), {"key": key})
                connection.commit()
                commits += 1
            except DBAPIError:
                connection.rollback()
                errors += 1

        first = batchops.start(*job(served, "--json", "--batch-size", "100", "--sleep", "20ms"))
        wait_for_work(first, served, 1)
        with meanwhile(act, 0.001):
            code, out, err = ended(first)
    figures(commits_of_the_writer=commits, errors_of_the_writer=errors)
    assert code == 0, (out, err)
    assert commits > 0
    assert COUNT_UP.wrong(served) is None


_SLOW_ROW = {
    "postgresql": """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.id = 79 THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();
""",
    "mysql": """
CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW SET NEW.kind = IF(NEW.id = 79, 0 * SLEEP(60) + 1, NEW.kind);
""",
}
_NO_LONGER = {"postgresql": "DROP TRIGGER slow ON t", "mysql": "DROP TRIGGER slow"}


@pytest.mark.full
def test_one_slow_row(batchops: Batchops, served: Database) -> None:
    """The batch is halved down to the row, and the end names what to do; all rows before it are done."""
    served.script(_SLOW_ROW[served.backend])
    words = ("--json", "--allow", "triggers", "--batch-size", "4")
    slow = batchops(*job(served, *words, "--statement-timeout", "1s", "--retry-timeout", "0s"))
    assert slow.code == 75, slow
    error = slow.json()["error"]
    assert "--statement-timeout" in error["hint"]
    assert served.column("SELECT count(*) FROM t WHERE id < 79 AND kind < 4 AND touched <> 1") == [0]
    assert served.column("SELECT touched FROM t WHERE id = 79") == [0]
    served.execute(_NO_LONGER[served.backend])
    assert batchops(*job(served, "--allow", "triggers")).code == 0
    assert COUNT_UP.wrong(served) is None


def test_too_many_connections(batchops: Batchops, postgresql: Database) -> None:
    """It may pass, so it is 75 and not 10, and says so."""
    make(postgresql)
    role = f"{postgresql.name}_crowd"
    postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'crowd' CONNECTION LIMIT 0")
    try:
        url = sa.make_url(postgresql.url).set(username=role, password="crowd").render_as_string(hide_password=False)
        full = batchops(COUNT_UP.verb, *COUNT_UP.arguments, "--url", url, "-y", "--json", "--retry-timeout", "0s")
    finally:
        postgresql.execute(f"DROP ROLE {role}")
    assert full.code == 75, full
    assert "too many connections" in full.json()["error"]["message"]
