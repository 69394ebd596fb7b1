"""SIGINT, SIGTERM, SIGHUP: the first finishes the batch, the second gives it up; streams that close stop nothing."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest

from tests.command import Batchops, hear_interrupts
from tests.conftest import NewDatabase
from tests.crash.scenario import COUNT_UP, LINGERING, at, batches_done, job, make, wait_for_work
from tests.figures import Figures
from tests.services import sqlite as sqlite_service
from tests.services.database import Database
from tests.waiting import HANG, ended, signalled, until

pytestmark = pytest.mark.in_turn

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def at_rest(database: Database) -> None:
    """Nothing of the tool is left: no lease, no run that is said to be at work, no session."""
    assert database.rows("SELECT job FROM batchops_lease") == []
    assert database.rows("SELECT run FROM batchops_run WHERE state = 'running'") == []
    if database.backend == "postgresql":
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchops' AND datname = :name"
        until(lambda: database.scalar(mine, name=database.name) == 0)  # it notices a client's end a moment later


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("postgresql", signal.SIGINT),
        ("mariadb", signal.SIGTERM),
        ("sqlite", signal.SIGHUP),
        *(
            pytest.param(name, sent, marks=pytest.mark.full)
            for name in ("postgresql", "mariadb", "sqlite")
            for sent in CODES
        ),
    ],
)
def test_the_first_signal_ends_the_run_after_its_batch(
    batchops: Batchops, new_database: NewDatabase, name: str, sent: signal.Signals
) -> None:
    database = new_database(name)
    make(database)
    first = batchops.start(*job(database, "--json", *LINGERING))
    wait_for_work(first, database)
    first.send_signal(sent)
    code, out, err = ended(first)
    assert code == CODES[sent], (out, err)
    assert '"reason": "signal"' in out
    assert "Traceback" not in err
    assert database.column("SELECT state FROM batchops_run") == ["signal"]
    at_rest(database)
    assert database.scalar("SELECT sum(touched) FROM t") == database.scalar(
        "SELECT sum(rows_changed) FROM batchops_worker"
    )
    assert batchops(*job(database)).code == 0
    assert COUNT_UP.wrong(database) is None


@pytest.mark.full
@pytest.mark.timeout(600)
def test_signals_at_any_moment(batchops: Batchops, database: Database, figures: Figures) -> None:
    """Before our handlers stand and after they are gone the signal's own meaning holds."""
    make(database)
    chance = random.Random(7)
    codes: dict[int, int] = {}
    for _ in range(50):
        sent = chance.choice(list(CODES))
        process = batchops.start(*job(database, "-q", "--batch-size", "20", "--sleep", "15ms"))
        time.sleep(chance.uniform(0.05, 1.2))
        process.send_signal(sent)
        _, _, err = ended(process)
        if not (process.returncode == 1 and "Fatal Python error: init_" in err):  # met the interpreter's start
            assert process.returncode in (0, CODES[sent], -sent), err
        codes[process.returncode] = codes.get(process.returncode, 0) + 1
        if process.returncode in (0, CODES[sent]):
            assert "Traceback" not in err
    figures(exit_codes=codes)
    assert batchops(*job(database)).code == 0
    assert COUNT_UP.wrong(database) is None
    at_rest(database)


@contextlib.contextmanager
def row_locked(database: Database) -> Iterator[None]:
    """Somebody else keeps a row of the table, or the file, to himself."""
    if database.backend == "sqlite":
        holder = sqlite3.connect(sqlite_service.path(database.url), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.close()
        return
    with database.engine.connect() as connection:
        # Not far ahead of the run; further where it was quicker.
        while True:
            row = database.scalar("SELECT max(id) FROM t WHERE touched > 0") + 100
            connection.exec_driver_sql(f"UPDATE t SET kind = kind WHERE id = {row}")
            if not connection.exec_driver_sql(f"SELECT touched FROM t WHERE id = {row}").scalar():
                break
            connection.rollback()
        yield


def test_the_second_signal_gives_the_batch_up(batchops: Batchops, database: Database) -> None:
    """A batch that waits for a lock for an hour is cancelled, and not because its grace is over."""
    make(database)
    patient = ("--lock-timeout", "1h", "--statement-timeout", "1h", "--grace", "1h")
    process = batchops.start(*job(database, "--json", *patient, *LINGERING))
    wait_for_work(process, database)
    with row_locked(database):
        settled(database)
        signalled(process, signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None, process.communicate()
        signalled(process, signal.SIGTERM)
        code, out, err = ended(process)
    assert code == 143, (out, err)
    answers = "SIGTERM: stopping after this batch; a second signal rolls it back.\nRolling this batch back.\n"
    assert answers in err
    if database.backend != "sqlite":  # there nothing could be written down: the file was locked
        at_rest(database)
    assert batchops(*job(database)).code == 0
    assert COUNT_UP.wrong(database) is None


def test_a_batch_that_outlasts_the_grace_period_is_rolled_back(batchops: Batchops, database: Database) -> None:
    """One signal is enough, and the same command goes on from there."""
    make(database)
    patient = ("--lock-timeout", "1h", "--statement-timeout", "1h", "--grace", "500ms")
    process = batchops.start(*job(database, "--json", *patient, *LINGERING))
    wait_for_work(process, database)
    with row_locked(database):
        settled(database)
        signalled(process, signal.SIGTERM)
        code, out, err = ended(process)
    assert code == 143, (out, err)
    if database.backend != "sqlite":
        at_rest(database)
    assert batchops(*job(database)).code == 0
    assert COUNT_UP.wrong(database) is None


WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist p "
    "ON p.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
    "sqlite": "SELECT 1",  # nobody can be asked there
}


def settled(database: Database) -> None:
    """Until the run gets no further, for it waits."""
    batches = [-1]

    def no_further() -> bool:
        batches.append(batches_done(database))
        return batches[-1] == batches[-2] and bool(database.scalar(WAITING[database.backend]))

    until(no_further, pause=1.0)


def test_ctrl_c_at_the_question(batchops: Batchops, somewhere: Database) -> None:
    words = [word for word in at(somewhere.url) if word != "-y"]
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "batchops", *words],
        env=batchops.environment(),
        cwd=str(batchops.home),
        timeout=HANG,
        preexec_fn=hear_interrupts,
    )
    terminal.expect(r"Update .* rows in \w+ on ")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, terminal.signalstatus) == (130, None)
    assert somewhere.scalar("SELECT sum(touched) FROM t") == 0
    with pytest.raises(Exception, match="batchops_run"):
        somewhere.rows("SELECT run FROM batchops_run")


@pytest.mark.wide(2)
@pytest.mark.parametrize("lost", ["stdout", "stderr"])
@pytest.mark.parametrize("how", [("--json",), ("--progress-every", "1ms")], ids=" ".join)
def test_a_reader_that_goes_away(batchops: Batchops, sqlite: Database, lost: str, how: tuple[str, ...]) -> None:
    """As `| head -1`: the work is done, and nobody complains."""
    make(sqlite)
    reader, writer = os.pipe()
    os.close(reader)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, lost: writer}
    process = batchops.start(*job(sqlite, *how, "--batch-size", "500"), **streams)
    os.close(writer)
    code, out, err = ended(process)
    assert code == 0, (out, err)
    assert "Traceback" not in err + out
    assert COUNT_UP.wrong(sqlite) is None
