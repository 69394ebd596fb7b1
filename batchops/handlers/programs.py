"""`--exec-batch`: a program that stays up, rows in and results out, a JSON line each."""

import queue
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import sqlalchemy as sa

from batchops.handlers import Failed, HandlerError, Result, Stopping, Values
from batchops.handlers.lines import line, result
from batchops.handlers.program import argv_of

MOST_UNREAD = 1_000
"""Lines that a program may be ahead; then it waits."""
LONGEST = 1_000_000
"""Bytes of a result line."""
SINGLY = 3
"""Rows tried one by one after a program died without an answer: if it dies at each, it is broken."""


class StaysUp:
    """One process for each worker, started when it is first needed and again after it died."""

    inside = False
    deadly = False

    def __init__(self, command: str, deadline: float) -> None:
        self._argv = argv_of(command, "--exec-batch")
        self._deadline = deadline
        self._running: set[_Process] = set()
        self._guard = threading.Lock()
        self._free: list[_Process] = []

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stopping: Stopping,
    ) -> Sequence[Result]:
        answered = self._asked(rows)
        if not answered and len(rows) >= SINGLY:
            return self._singly(rows)
        rest = rows[len(answered) :]
        if not rest:
            return answered
        if len(rows) == 1:
            return [Failed("the program ended without an answer to this row")]
        # It died somewhere in the rest: the first half of it may hold the row that killed it.
        middle = (len(rest) + 1) // 2
        return [*answered, *self(rest[:middle], None, stopping), *self(rest[middle:], None, stopping)]

    def close(self) -> None:
        """End every process: its stdin is closed, and after a moment it is killed."""
        with self._guard:
            running, self._running, self._free = list(self._running), set(), []
        for process in running:
            process.end()

    def _singly(self, rows: Sequence[Values]) -> Sequence[Result]:
        first = [self._asked([row]) for row in rows[:SINGLY]]
        if not any(first):
            raise HandlerError(
                f"{self._argv[0]} ends without answering a row, whichever row it gets.",
                "run it by hand: it must read JSON lines and answer each with a line, and stay up.",
            )
        results: list[Result] = [
            one[0] if one else Failed("the program ended without an answer to this row") for one in first
        ]
        rest = rows[SINGLY:]
        middle = (len(rest) + 1) // 2
        for half in (rest[:middle], rest[middle:]):
            results += self(half, None, lambda: False) if half else []
        return results

    def _asked(self, rows: Sequence[Values]) -> list[Result]:
        """Results for the first of `rows`, as far as the program came."""
        process = self._process()
        answers, clean = process.ask([line(row) for row in rows], self._deadline)
        if clean:
            with self._guard:
                self._free.append(process)
        else:
            process.end()
            with self._guard:
                self._running.discard(process)
        return [result(answer, self._argv[0]) for answer in answers]

    def _process(self) -> "_Process":
        with self._guard:
            while self._free:
                process = self._free.pop()
                if process.alive():
                    return process
                self._running.discard(process)
            process = _Process(self._argv)
            self._running.add(process)
            return process


class _Process:
    """A running program and a thread that reads what it says."""

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self._popen = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, start_new_session=True
            )
        except OSError as error:
            raise HandlerError(f"{argv[0]} did not start: {error.strerror}.") from error
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._stdin: IO[bytes] = self._popen.stdin
        self._said: queue.Queue[bytes | None] = queue.Queue(MOST_UNREAD)
        self._ended = False
        threading.Thread(target=self._read, args=(self._popen.stdout,), daemon=True).start()

    def alive(self) -> bool:
        return self._popen.poll() is None

    def ask(self, lines: Sequence[str], seconds: float) -> tuple[list[str], bool]:
        """The answers that came in time, and whether the program may be asked again."""
        writer = threading.Thread(target=self._write, args=(lines,), daemon=True)
        writer.start()
        answers: list[str] = []
        try:
            while len(answers) < len(lines):
                said = self._said.get(timeout=seconds)
                if said is None:
                    return answers, False
                answers.append(said.decode(errors="replace"))
        except queue.Empty:
            return answers, False
        writer.join(seconds)
        return answers, True

    def end(self) -> None:
        self._ended = True
        with suppress(OSError):
            self._stdin.close()
        try:
            self._popen.wait(1)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _write(self, lines: Sequence[str]) -> None:
        with suppress(OSError, ValueError):  # it died: what it answered so far tells how far it came
            for text in lines:
                self._stdin.write(text.encode() + b"\n")
            self._stdin.flush()

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for said in iter(lambda: stdout.readline(LONGEST), b""):
                self._put(said)
        self._put(None)

    def _put(self, said: bytes | None) -> None:
        """As long as anyone asks: a program may say more than it was asked."""
        while not self._ended:
            with suppress(queue.Full):
                self._said.put(said, timeout=0.2)
                return
