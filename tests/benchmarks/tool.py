"""The tool as its users have it: a command in a process of its own, judged by its JSON document."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.databases import HALF, SET, Database
from tests.benchmarks.sides import SideFailedError, Timing

# A small process stands between us and the tool: a child's peak starts at its parent's size.
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@dataclass(frozen=True)
class Run:
    """One run of the tool."""

    document: dict[str, Any]
    committed: list[dict[str, Any]]
    """The events of that name."""
    peak_mb: float
    ended: float
    """Seconds since the epoch."""

    def timing(self) -> Timing:
        batches = self.document["batches"]
        return Timing(self.document["seconds"], self.document["rows"], f"{batches} batches")


def purge(database: Database, *options: str) -> Run:
    """Delete the half that matches."""
    return purge_where(database, HALF, *options)


def purge_where(database: Database, where: str, *options: str) -> Run:
    """Delete the rows that match."""
    allowed = ["--allow", "scan", "--allow", "no-key"]
    return _run(["purge", "events", "--url", database.url, "--where", where, "-y", "--json", *allowed, *options])


FORMATS = ("parquet", "jsonl", "csv")
"""Of files that `archive` writes."""


def archive(database: Database, to: str, *options: str) -> Run:
    """Move the half that matches to a folder or a table."""
    command = ["archive", "events", "--url", database.url, "--where", HALF, "--to", to, "-y", "--json"]
    return _run([*command, "--allow", "scan", *options])


def restore(database: Database, source: str, into: str, *options: str) -> Run:
    """Put archived rows into a table."""
    return _run(["restore", source, "--url", database.url, "--into", into, "-y", "--json", *options])


def backfill(database: Database, *options: str) -> Run:
    """Update the half that matches."""
    command = ["backfill", "events", "--url", database.url, "--set", SET, "--where", HALF, "-y", "--json"]
    return _run([*command, *options])


def ran(*arguments: str, exits: Sequence[int]) -> Run:
    """Any job that may end with these codes."""
    return _run([*arguments, "-y", "--json"], exits)


def _run(arguments: list[str], exits: Sequence[int] = (0,)) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        peak, events = Path(folder) / "peak", Path(folder) / "events"
        command = [sys.executable, "-m", "batchops", *arguments, "--events", str(events)]
        done = subprocess.run(
            [sys.executable, "-S", "-c", _PEAK, str(peak), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        ended = time.time()
        if done.returncode not in exits:
            raise SideFailedError(f"exit {done.returncode}: {_why(done.stdout, done.stderr)}")
        lines = [json.loads(line) for line in events.read_text().splitlines()]
        committed = [line for line in lines if line["event"] == "committed"]
        return Run(json.loads(done.stdout), committed, int(peak.read_text()) / 1024, ended)


def _why(stdout: str, stderr: str) -> str:
    """The document's error; the last line of a traceback where there is no document."""
    try:
        return str(json.loads(stdout)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return (stderr.strip() or "no output").splitlines()[-1]
