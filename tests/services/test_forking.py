"""A forked process of the command line is like one of its own."""

import signal
import sys

import pytest

from tests.command import Batchops
from tests.services.database import Database
from tests.waiting import ended

STATE = """
import json, os, sys
def state(rows):
    names = sorted(name for name in os.environ if name not in ("LC_CTYPE", "PWD", "_"))
    files = len(os.listdir("/proc/self/fd"))
    streams = [(s.encoding, s.errors, s.line_buffering, s.isatty()) for s in (sys.stdin, sys.stdout, sys.stderr)]
    print(names, os.getcwd(), os.path.basename(sys.argv[0]), sys.argv[1:], files, streams, file=sys.stderr)
"""
"""Tells what a process finds."""
DRAIN = ("drain", "jobs", "--where", "s = 'new'", "--done", "s = 'done'", "--lease-in", "none", "--call", "found:state")


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_it_finds_what_a_new_process_finds(batchops: Batchops, sqlite: Database) -> None:
    sqlite.script("CREATE TABLE jobs (id integer PRIMARY KEY, s text); INSERT INTO jobs VALUES (1, 'new'), (2, 'new')")
    (batchops.home / "found.py").write_text(STATE)
    words = (*DRAIN, "--url", sqlite.url, "--max-rows", "1", "-q")
    forked, started = (ended(batchops.start(*words, **options)) for options in ({}, {"close_fds": True}))
    assert forked.err
    assert (forked.code, forked.out, forked.err) == (started.code, started.out, started.err)


def test_its_end_is_told_as_the_system_tells_it(batchops: Batchops, sqlite: Database) -> None:
    assert ended(batchops.start("nothing")).code == 2
    sqlite.execute("CREATE TABLE jobs (id integer PRIMARY KEY, s text)")
    stays = batchops.start("drain", "jobs", "--url", sqlite.url, "--where", "s = 'new'", "--done", "s = 'done'",
                           "--lease-in", "none", "--set", "s = 'at work'", "--poll", "1h")  # fmt: skip
    assert stays.poll() is None
    stays.send_signal(signal.SIGKILL)
    assert (stays.wait(), stays.poll()) == (-signal.SIGKILL, -signal.SIGKILL)
