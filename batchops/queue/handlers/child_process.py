"""Starts programs for a handler, each in a session of its own, and ends each with all that it has started."""

import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from itertools import count
from typing import IO, Literal

from batchops.runtime.backoff import Backoff
from batchops.runtime.stop import Stop

LAST_SECONDS = 5.0
"""Seconds between SIGTERM and SIGKILL."""
LOOK_SECONDS = 0.2
"""Seconds between two checks of the time and of whether the run was asked to stop."""
ENDING = Backoff(first=0.001, longest=LOOK_SECONDS / 4, jitter=0.0)
"""The pause between two checks of whether everything that a program has started has ended."""
CHUNK = 65_536
_PR_SET_PDEATHSIG = 1


class Spawner:
    """Starts programs from one thread, which lives until `close`.

    On Linux the kernel kills a program once the thread that started it has ended. So no program outlives a drain that
    was killed. The thread of a single batch must not start one: the program would be killed with that batch.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "batchops-spawner")

    def start(self, argv: Sequence[str], *, reads: Literal["stdout", "stderr"]) -> "Child":
        """Start a program, and read the stream that `reads` names. Raise OSError if it does not start."""
        pipes = {
            "stdout": subprocess.PIPE if reads == "stdout" else subprocess.DEVNULL,
            "stderr": subprocess.PIPE if reads == "stderr" else None,
        }
        return self._thread.submit(self._start, list(argv), pipes).result()

    @cached_property
    def _bound(self) -> tuple[list[str], Callable[[], None] | None]:
        """Return what makes the kernel kill a program with this process: words before its command, or a function.

        The function runs in the new process.
        """
        words = _wrapper()
        return words, None if words else _death_signal()

    def close(self) -> None:
        """End the thread. On Linux this also ends the programs that it started and that still run."""
        self._thread.shutdown()

    def _start(self, argv: list[str], pipes: dict[str, int | None]) -> "Child":
        words, first = self._bound
        # A session of its own: a Ctrl-C at the terminal reaches batchops only, and the whole group can be ended.
        return Child(
            subprocess.Popen(
                [*words, *argv], stdin=subprocess.PIPE, start_new_session=True, preexec_fn=first, bufsize=0, **pipes
            )  # type: ignore[call-overload]  # the streams are by name
        )


class Child:
    """A running program. The calling thread writes to it, reads from it and waits for it: it needs no other thread."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._unsent = b""
        self._no_more = False
        self.ended = False
        """Whether the program itself has ended. Processes that it has started may continue."""
        assert popen.stdin is not None
        self._stdin: IO[bytes] = popen.stdin
        reads = popen.stdout or popen.stderr
        assert reads is not None
        self._reads: IO[bytes] = reads
        for pipe in (self._stdin, self._reads):
            os.set_blocking(pipe.fileno(), False)
        self._exit = _exit_of(popen)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reads, selectors.EVENT_READ)
        self._selector.register(self._exit, selectors.EVENT_READ)

    @property
    def unsent(self) -> bool:
        """Whether part of what `feed` was given has not been written to the program yet."""
        return bool(self._unsent)

    @property
    def code(self) -> int:
        """Wait for the program to end, and return its exit code, which is negative for a signal."""
        self.ended = True
        return self._popen.wait()

    def feed(self, text: bytes, *, last: bool = False) -> None:
        """Send the text as fast as the program reads it. After the `last` text its stdin is closed."""
        self._no_more = self._no_more or last
        if not self._unsent and text:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        self._unsent += text
        if self._no_more and not self._unsent:
            self._stdin.close()

    def wait_for_output(self, seconds: float) -> bytes:
        """Wait at most this long for output, for room in the pipe or for the end; return the output, maybe empty."""
        read = b""
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.fileobj is self._stdin:
                self._write()
            elif key.fileobj is self._reads:
                read = self._read()
            else:
                self.ended = True
                self._selector.unregister(self._exit)
        return read

    def read_rest(self) -> bytes:
        """Return what can be read without waiting.

        The end of the stream may come late: a process that the program has started may hold it open.
        """
        parts = []
        while self._reads in self._selector.get_map() and (part := self._read()):
            parts.append(part)
        return b"".join(parts)

    def signal(self, number: int) -> None:
        """Send a signal to the program and to all processes of its group."""
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or its rest runs as another user
            os.killpg(self._popen.pid, number)

    def end(self, left: Callable[[], float]) -> None:
        """Send SIGTERM to the whole group, and wait; once no seconds are `left`, send SIGKILL to what still runs."""
        if left() > 0:
            self.signal(signal.SIGTERM)
        while not self.ended and (seconds := left()) > 0:
            self.wait_for_output(min(seconds, LOOK_SECONDS))
        if not self.ended:
            self.signal(signal.SIGKILL)
        self._popen.wait()
        for attempt in count(1):
            if self._group_ended():  # its number may be another group's from now on
                break
            if left() <= 0:
                self.signal(signal.SIGKILL)
                break
            time.sleep(ENDING.pause(attempt))
        self.close()

    def leave(self) -> None:
        """Wait for the program itself and close its streams. Processes that it left behind on purpose continue."""
        self._popen.wait()
        self.close()

    def close(self) -> None:
        """Close the streams to the program."""
        self._selector.close()
        for pipe in (self._stdin, self._reads, self._exit):
            with suppress(OSError):
                pipe.close()

    def _group_ended(self) -> bool:
        """Whether no process of the group is left, after the program itself has ended."""
        try:
            os.killpg(self._popen.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the program has closed its stdin; its answers show how much it has read
            self._unsent, self._no_more = b"", True
        if not self._unsent:
            self._selector.unregister(self._stdin)
            if self._no_more:
                self._stdin.close()

    def _read(self) -> bytes:
        try:
            read = os.read(self._reads.fileno(), CHUNK)
        except BlockingIOError:
            return b""
        if not read:
            self._selector.unregister(self._reads)
        return read


class TimeLimit:
    """How long a program may continue: for a number of seconds, or for the grace period once the run is to stop."""

    def __init__(self, seconds: float, stop: Stop, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stop = stop
        self._end = clock() + seconds
        self._kill = 0.0
        self.passed: Literal["deadline", "stop"] | None = None
        """Why the program has to end. None: it may continue."""

    def look(self) -> float:
        """Check the time and the stop, set `passed`, and return the seconds until the next check."""
        now, grace = self._clock(), self._stop.left
        if self.passed is None and grace is not None and grace <= LAST_SECONDS:
            self.passed, self._kill = "stop", now + grace
        elif self.passed is None and now >= self._end:
            self.passed, self._kill = "deadline", now + LAST_SECONDS
        return min(LOOK_SECONDS, max(0.0, self._end - now))

    def left(self) -> float:
        """Return the seconds left until SIGKILL, for a program that has to end."""
        return 0.0 if self._stop.at_once else self._kill - self._clock()


def _wrapper() -> list[str]:
    """Return the words before a command that make the kernel kill it once its parent has ended; none if that fails.

    setpriv of util-linux does this. BusyBox has a program of that name that does not, so this runs it once.
    """
    setpriv = shutil.which("setpriv") if sys.platform.startswith("linux") else None
    if setpriv is None:
        return []
    words = [setpriv, "--pdeathsig", "KILL", "--"]
    with suppress(OSError, subprocess.SubprocessError):
        if subprocess.run([*words, "true"], capture_output=True, timeout=LAST_SECONDS, check=False).returncode == 0:
            return words
    return []


def _death_signal() -> Callable[[], None] | None:
    """Return a function that asks for the same in the new process; None if this is not Linux.

    It needs a fork of this whole process, which costs many times as much as the words.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: after it, waiting for a lock could hang
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent had ended before the kernel was asked
            os._exit(127)

    return ask


def _exit_of(popen: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return a stream that becomes readable once the program has ended."""
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # the kernel or a sandbox does not allow it
            return os.fdopen(os.pidfd_open(popen.pid), "rb", buffering=0)
    reader, writer = os.pipe()

    def wait() -> None:
        popen.wait()
        os.close(writer)

    threading.Thread(target=wait, name="batchops-wait", daemon=True).start()
    return os.fdopen(reader, "rb", buffering=0)
