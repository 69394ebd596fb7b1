"""Programs that a handler starts: each in a session of its own, ended together with all that it has started."""

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
"""Seconds between two looks at the time and at whether the run was asked to stop."""
ENDING = Backoff(first=0.001, longest=LOOK_SECONDS / 4, jitter=0.0)
"""Between two looks at whether all that a program has started is gone."""
CHUNK = 65_536
_PR_SET_PDEATHSIG = 1


class Spawner:
    """Starts programs from one thread, which lives until it is closed.

    On Linux the kernel kills a program once the thread that started it is gone: so none outlives a drain that was
    killed, and each would be killed early if a thread of a single batch had started it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "batchops-spawner")

    def start(self, argv: Sequence[str], *, reads: Literal["stdout", "stderr"]) -> "Child":
        """Start a program. One of its streams is ours to read; OSError where it does not start."""
        pipes = {
            "stdout": subprocess.PIPE if reads == "stdout" else subprocess.DEVNULL,
            "stderr": subprocess.PIPE if reads == "stderr" else None,
        }
        return self._thread.submit(self._start, list(argv), pipes).result()

    @cached_property
    def _bound(self) -> tuple[list[str], Callable[[], None] | None]:
        """How a program's life is bound to ours: words before its command, or a function in the new process."""
        words = _wrapper()
        return words, None if words else _death_signal()

    def close(self) -> None:
        """End the thread, and with it on Linux whatever it has started and still runs."""
        self._thread.shutdown()

    def _start(self, argv: list[str], pipes: dict[str, int | None]) -> "Child":
        words, first = self._bound
        # A session of its own: a Ctrl-C at the terminal is ours to answer, and the whole group is ended together.
        return Child(
            subprocess.Popen(
                [*words, *argv], stdin=subprocess.PIPE, start_new_session=True, preexec_fn=first, bufsize=0, **pipes
            )  # type: ignore[call-overload]  # the streams are by name
        )


class Child:
    """A running program: fed, read and waited for by the calling thread, without a thread of its own."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._unsent = b""
        self._no_more = False
        self.ended = False
        """Whether the program itself has ended; what it has started may continue."""
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
        """Whether the program has not taken all that it was sent."""
        return bool(self._unsent)

    @property
    def code(self) -> int:
        """The exit code, negative for a signal; waits for the end."""
        self.ended = True
        return self._popen.wait()

    def feed(self, text: bytes, *, last: bool = False) -> None:
        """Send that as fast as the program takes it; after the `last` its stdin is closed."""
        self._no_more = self._no_more or last
        if not self._unsent and text:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        self._unsent += text
        if self._no_more and not self._unsent:
            self._stdin.close()

    def wait_for_output(self, seconds: float) -> bytes:
        """Wait at most so long for something to happen: what was read, empty where nothing was."""
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
        """What can be read without waiting: what the program has started may hold its stream open for long."""
        parts = []
        while self._reads in self._selector.get_map() and (part := self._read()):
            parts.append(part)
        return b"".join(parts)

    def signal(self, number: int) -> None:
        """Send a signal to the program and all that it has started."""
        with suppress(ProcessLookupError, PermissionError):  # gone already, or all that is left runs as another user
            os.killpg(self._popen.pid, number)

    def end(self, left: Callable[[], float]) -> None:
        """SIGTERM to the whole group, SIGKILL to what there still is of it once nothing is `left`; wait for it."""
        if left() > 0:
            self.signal(signal.SIGTERM)
        while not self.ended and (seconds := left()) > 0:
            self.wait_for_output(min(seconds, LOOK_SECONDS))
        if not self.ended:
            self.signal(signal.SIGKILL)
        self._popen.wait()
        for attempt in count(1):
            if self._alone() or left() <= 0:
                break
            time.sleep(ENDING.pause(attempt))
        self.signal(signal.SIGKILL)
        self.close()

    def leave(self) -> None:
        """Wait for the program itself and close its streams: what it has left behind on purpose continues."""
        self._popen.wait()
        self.close()

    def close(self) -> None:
        """Release its streams."""
        self._selector.close()
        for pipe in (self._stdin, self._reads, self._exit):
            with suppress(OSError):
                pipe.close()

    def _alone(self) -> bool:
        """Whether nothing of its group is left, now that the program itself was waited for."""
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
        except OSError:  # it has closed its stdin: what it answers tells how far it came
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
    """How long a program may continue: its own seconds, and the grace period once the run was asked to stop."""

    def __init__(self, seconds: float, stop: Stop, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stop = stop
        self._end = clock() + seconds
        self._kill = 0.0
        self.passed: Literal["deadline", "stop"] | None = None
        """Why the program is to end; None: it may continue."""

    def look(self) -> float:
        """Seconds until the next look, after this one."""
        now, grace = self._clock(), self._stop.left
        if self.passed is None and grace is not None and grace <= LAST_SECONDS:
            self.passed, self._kill = "stop", now + grace
        elif self.passed is None and now >= self._end:
            self.passed, self._kill = "deadline", now + LAST_SECONDS
        return min(LOOK_SECONDS, max(0.0, self._end - now))

    def left(self) -> float:
        """Seconds between now and SIGKILL, for a program that is to end."""
        return 0.0 if self._stop.at_once else self._kill - self._clock()


def _wrapper() -> list[str]:
    """The words before a command that have the kernel kill it once its parent is gone; none where nothing does that.

    The program of util-linux does; BusyBox has one of that name that does not.
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
    """The same, called in the new process: a fork of the whole of this one, which costs many times as much."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: after it no lock may be waited for
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it had gone before the kernel was asked
            os._exit(127)

    return ask


def _exit_of(popen: subprocess.Popen[bytes]) -> IO[bytes]:
    """A stream that can be read from once the program has ended."""
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # a kernel or a sandbox without it
            return os.fdopen(os.pidfd_open(popen.pid), "rb", buffering=0)
    reader, writer = os.pipe()

    def wait() -> None:
        popen.wait()
        os.close(writer)

    threading.Thread(target=wait, name="batchops-wait", daemon=True).start()
    return os.fdopen(reader, "rb", buffering=0)
