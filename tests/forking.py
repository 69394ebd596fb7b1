"""Processes of the command line forked from one that has imported it: a start costs 20 ms of CPU, and not a second.

`python -m tests.forking FD` is that process; it gets one message for each child over the socket FD.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

WORD = 4
"""Octets of a number in a child's pipe: first its pid, at its end its status."""


class Forks:
    """Starts the process at the first use, and ends it with the block."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._stack = contextlib.ExitStack()
        self._channel: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def channel(self) -> socket.socket:
        """Where each message has a child forked: words, folder and environment as JSON.

        With it go four files: the child's stdin, stdout and stderr, and one to which its pid and status are written.
        Once nobody can read that one any more, the child is killed.
        """
        self._channel = self._channel or self._stack.enter_context(self._begun())
        return self._channel

    def send(self, words: Sequence[str], folder: str, environment: Mapping[str, str], files: Sequence[int]) -> None:
        """Have a child forked."""
        socket.send_fds(self.channel, [json.dumps([words, folder, dict(environment)]).encode()], files)

    @contextlib.contextmanager
    def _begun(self) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=dict(self._environment)
            )
        try:
            with ours:
                yield ours
        finally:
            process.wait()


class Forked(subprocess.Popen[str]):
    """Like the process that Popen starts, but a child of the process that forks."""

    def __init__(self, forks: Forks, args: Sequence[str], **popen: Any) -> None:
        self._forks = forks
        self._status = -1
        super().__init__(args, **popen)

    def _execute_child(self, args: Sequence[str], *more: Any) -> None:
        folder, environment = more[4], more[5]
        pipes = more[9:15]
        self._status, writer = os.pipe()
        try:
            files = [end if end >= 0 else number for number, end in enumerate((pipes[0], pipes[3], pipes[5]))]
            self._forks.send(args, str(folder), environment, [*files, writer])
        finally:
            os.close(writer)
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = self._number()
        self._child_created = True

    def _internal_poll(self, *_: object, **__: object) -> int | None:
        if self.returncode is None:
            self._take(os.WNOHANG)
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """As waitpid: pid 0 where it has not ended."""
        if flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = self._number()
        os.close(self._status)
        return self.pid, status

    def _take(self, flags: int) -> None:
        pid, status = self._try_wait(flags)
        if pid:
            self._handle_exitstatus(status)  # type: ignore[attr-defined]

    def _number(self) -> int:
        return int.from_bytes(os.read(self._status, WORD), "little")


def serve(channel: socket.socket) -> list[str]:
    """Fork at each message. Returns in the children only: the words of the command line."""
    ended, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    status_by_pid: dict[int, int] = {}
    while True:
        ready = _ready([channel.fileno(), ended], status_by_pid)
        if ended in ready:
            os.read(ended, 4096)
            _reap(status_by_pid)
        for pid in [pid for pid, status in status_by_pid.items() if status in ready]:
            os.kill(pid, signal.SIGKILL)
        if channel.fileno() not in ready:
            continue
        message, files, *_ = socket.recv_fds(channel, 2**20, 4)
        if not message:
            os._exit(0)
        words, folder, environment = json.loads(message)
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(folder, environment, files[:3])
            for number in (ended, woken, channel.detach(), *status_by_pid.values(), *files):
                os.close(number)
            return list(words)
        os.write(files[3], pid.to_bytes(WORD, "little"))
        status_by_pid[pid] = files[3]
        for number in files[:3]:
            os.close(number)


def _ready(sources: Sequence[int], status_by_pid: Mapping[int, int]) -> set[int]:
    """The sources that can be read, and the pipes of children that nobody waits for any more."""
    poll = select.poll()
    for source in sources:
        poll.register(source, select.POLLIN)
    for status in status_by_pid.values():
        poll.register(status, 0)  # that its other end is closed is told all the same
    return {number for number, _ in poll.poll()}


def _reap(status_by_pid: dict[int, int]) -> None:
    while status_by_pid:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with contextlib.suppress(BrokenPipeError):  # nobody asks for it any more
            os.write(status_by_pid[pid], status.to_bytes(WORD, "little"))
        os.close(status_by_pid.pop(pid))


def _become(folder: str, environment: Mapping[str, str], files: Sequence[int]) -> None:
    """What a new interpreter finds and makes at its start."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  until it ends
    sys.stdout = sys.__stdout__ = _stream(1, "strict")
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace", line_buffering=True)


def _stream(number: int, errors: str, **more: Any) -> io.TextIOWrapper:
    raw = open(number, "wb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, "utf-8", errors, **more)


def imported(package: str, skip: Callable[[str], bool]) -> None:
    """All modules of the package, but those whose libraries are not there."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        if not skip(module.name):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


if __name__ == "__main__":
    imported("batchops", lambda name: name.endswith(".__main__"))
    gc.collect()
    gc.freeze()
    sys.argv = ["batchops", *serve(socket.socket(fileno=int(sys.argv[1])))]
    runpy.run_module("batchops", run_name="__main__", alter_sys=True)
