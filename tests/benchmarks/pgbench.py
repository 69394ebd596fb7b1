"""Other people's work on PostgreSQL: pgbench at a fixed rate, every transaction's latency kept."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.server import UnavailableError

RATE = 400
CLIENTS = 16
LONGEST = 3600

_PICK = "\\set id random(1, {rows})\n"
_SCRIPTS = {
    "select": _PICK + "SELECT payload FROM events WHERE id = :id;\n",
    "update": _PICK + "UPDATE events SET score = score + 1 WHERE id = :id;\n",
}


@dataclass(frozen=True)
class Transaction:
    """Latency counts from when it was due, so a stalled client hides nothing."""

    due: float
    """Seconds since the epoch."""
    milliseconds: float


class Traffic:
    """Its transactions can be read once it has ended."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []

    def due_between(self, start: float, end: float) -> list[float]:
        """Milliseconds of those that were due in that time, sorted."""
        return sorted(one.milliseconds for one in self.transactions if start <= one.due <= end)


@contextmanager
def traffic(url: str, rows: int) -> Iterator[Traffic]:
    """pgbench beside the block, from two seconds before until all that was due in the block is answered."""
    program = shutil.which("pgbench")
    if program is None:
        raise UnavailableError("pgbench is not on PATH")
    found = Traffic()
    with tempfile.TemporaryDirectory(prefix="batchops-bench-") as name:
        folder = Path(name)
        command = [program, "-n", "-R", str(RATE), "-c", str(CLIENTS), "-j", "1", "-T", str(LONGEST), "-l"]
        command += ["--log-prefix", str(folder / "log"), *_write_scripts(folder, rows), "-d", url]
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            time.sleep(2)
            yield found
            time.sleep(2)
        finally:
            # The alarm is how pgbench itself ends at -T: clients finish, the log is flushed.
            process.send_signal(signal.SIGALRM)
            process.wait(60)
        found.transactions += [parse(line) for log in folder.glob("log.*") for line in log.open()]


def _write_scripts(folder: Path, rows: int) -> list[str]:
    options = []
    for name, text in _SCRIPTS.items():
        (folder / name).write_text(text.format(rows=rows))
        options += ["-f", str(folder / name)]
    return options


def parse(line: str) -> Transaction:
    """client, number, µs including the lag behind the schedule, script, end in s and µs, lag."""
    fields = line.split()
    ended = int(fields[4]) + int(fields[5]) / 1e6
    return Transaction(ended - int(fields[2]) / 1e6, int(fields[2]) / 1e3)
