"""What Ctrl-C ends is told as it is: nothing was changed only where that is so, and what was done stays done."""

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator

import pexpect
import pytest

from tests.command import Batchops, hear_interrupts
from tests.databases.numbered import numbered
from tests.services.database import Database
from tests.services.sqlite import path as sqlite_path
from tests.waiting import until


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a host that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret"


@pytest.mark.full
def test_ctrl_c_while_pings_are_sent(batchops: Batchops, sqlite: Database, deaf: str) -> None:
    numbered(sqlite, 100)
    args = ("purge", "t", "--url", sqlite.url, "--where", "id > 0", "-y", "--json", "--ping", deaf)
    run = batchops.start(*args, preexec_fn=hear_interrupts)
    assert run.stdout is not None
    document = json.loads(run.stdout.readline())  # from here on only pings are to be sent
    while run.poll() is None:
        run.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.3)
    rest, said = run.communicate()
    assert (document["rows"], document["reason"]) == (100, "done")
    assert (run.returncode, rest) == (0, ""), said
    assert "purge t: done: 100 rows" in said
    assert "nothing was changed" not in said
    assert "Traceback" not in said


def test_ctrl_c_at_the_question(batchops: Batchops, sqlite: Database) -> None:
    numbered(sqlite, 100)
    program, *args = batchops.argv("purge", "t", "--url", sqlite.url, "--where", "id > 0")
    child = pexpect.spawn(
        program, args, env=batchops.environment(), encoding="utf-8", preexec_fn=hear_interrupts, timeout=60
    )  # fmt: skip
    child.expect_exact("[y/N]: ")
    child.sendintr()
    while child.expect_exact(["Interrupted; nothing was changed", pexpect.TIMEOUT], timeout=1):
        child.sendintr()  # the first one came while the terminal was being prepared for an answer
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert sqlite.scalar("SELECT count(*) FROM t") == 100


def test_ctrl_c_is_answered_at_once(batchops: Batchops, sqlite: Database) -> None:
    """While a batch waits for a lock that another holds."""
    numbered(sqlite, 100)
    args = ("purge", "t", "--url", sqlite.url, "--where", "id > 0", "-y", "--batch-size", "10", "--sleep", "50ms")
    program, *words = batchops.argv(*args, "--lock-timeout", "1h", "--statement-timeout", "1h", "--grace", "1h")
    env = batchops.environment({"COLUMNS": "200"})
    child = pexpect.spawn(program, words, env=env, encoding="utf-8", preexec_fn=hear_interrupts, timeout=60)
    until(lambda: sqlite.scalar("SELECT count(*) FROM t") <= 90)
    with contextlib.closing(sqlite3.connect(sqlite_path(sqlite.url), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(0.2)  # the next batch begins
        child.sendintr()
        child.expect_exact("Stopping after this batch; Ctrl-C again rolls it back.")
        child.sendintr()
        child.expect_exact("Rolling this batch back.")
        holder.execute("ROLLBACK")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
