"""Waiting for states, never for a time: on a busy machine everything takes longer, and nothing may fail for it."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")
HANG = 240.0
"""Seconds after which something hangs: many times what a busy machine needs, and less than pytest's own limit."""
Process = subprocess.Popen[str]


class Ended(NamedTuple):
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str


def until(state: Callable[[], T], process: Process | None = None, pause: float = 0.05) -> T:
    """The state once it is there; fails at once where the process, which should bring it about, has ended."""
    end = time.monotonic() + HANG
    while not (found := state()):
        assert process is None or process.poll() is None, ended(process)
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(pause)
    return found


def ended(process: Process) -> Ended:
    """Wait for its end."""
    out, err = process.communicate(timeout=HANG)
    return Ended(process.returncode, out or "", err or "")


def signalled(process: Process, number: signal.Signals) -> None:
    """Send the signal and wait until the process has it: two that are pending at once would be one."""
    process.send_signal(number)
    status = Path(f"/proc/{process.pid}/status")
    until(lambda: not status.exists() or not _pending(status, number), pause=0.01)


def _pending(status: Path, number: signal.Signals) -> bool:
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(lines["ShdPnd"], 16) >> (number - 1) & 1)
