"""The handler of `--exec-batch`: a program that stays up, and reads rows and prints results as JSON lines."""

import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto

import sqlalchemy as sa

from batchops.queue.handlers import Failed, HandlerError, Result, Unstarted, Values
from batchops.queue.handlers.child_process import LAST_SECONDS, Child, Spawner, TimeLimit
from batchops.queue.handlers.exec_answers import Answers
from batchops.queue.handlers.program import argv_of
from batchops.runtime.stop import Stop

LONGEST_LINE_BYTES = 1_000_000
"""The most bytes of a result line."""
SINGLY = 3
"""Rows that are tried one by one after a program died without an answer. If it dies at each, it is broken."""
MOST_WRONG = 3
"""Batches with wrong answers, or rows of one batch without a right one, that show that a program is broken."""
QUIET = 0.02
"""Seconds without a further line after which answers without keys count as complete."""
CLOSE_TIMEOUT = 1.0
"""Seconds for a program to end by itself once its stdin is closed."""
DIED = Failed("the program ended without an answer to this row")


class ExecBatchHandler:
    """Asks one process for each worker. It starts the process when one is needed, and again after it died."""

    in_transaction = False
    can_crash = False
    isolate_failed = True

    def __init__(self, command: str, deadline: float) -> None:
        self._argv = argv_of(command, "--exec-batch")
        self._deadline = deadline
        self._spawner = Spawner()
        self._key: Sequence[str] = ()
        self._warn: Callable[[str], None] = lambda _: None
        self._guard = threading.Lock()
        self._running: set[Program] = set()
        self._free: list[Program] = []
        self._wrong = 0
        """Batches whose answers could not be trusted."""
        self._right = False
        """Whether the program has answered a whole batch right."""

    def open(
        self, key: Sequence[str], documents: Collection[str],  # noqa: ARG002  a program reads JSON as it is
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Note the columns that answers name rows by, and where to report lines that belong to no batch."""
        self._key, self._warn = key, warn

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stop: Stop,
    ) -> Sequence[Result]:
        return self._work(rows, TimeLimit(self._deadline, stop), stop)

    def close(self) -> None:
        """End every process: close its stdin, and end it if it does not end by itself in time."""
        with self._guard:
            running, self._running, self._free = list(self._running), set(), []
        for program in running:
            program.close()
        self._spawner.close()

    def _work(self, rows: Sequence[Values], limit: TimeLimit, stop: Stop) -> Sequence[Result]:
        limit.look()
        if limit.passed:
            return [Unstarted()] * len(rows)
        answers, end = self._ask(rows, limit)
        if answers.wrong:
            return self._distrusted(answers, len(rows))
        results = answers.results
        match end:
            case AnswersEnd.WHOLE:
                self._right = True
                return [results[place] for place in range(len(rows))]
            case AnswersEnd.OVER:
                rest: Result = Unstarted()
                if limit.passed == "deadline":
                    text = f"it had answered {answers.count} of {len(rows)} rows"
                    rest = Failed(f"{self._argv[0]} did not answer within {self._deadline:g} s: {text}")
                else:
                    stop.cut = True
                return [results.get(place, rest) for place in range(len(rows))]
        left = [place for place in range(len(rows)) if place not in results]
        again = self._without_answer([rows[place] for place in left], limit, stop)
        return [results[place] if place in results else again[left.index(place)] for place in range(len(rows))]

    def _without_answer(self, rows: Sequence[Values], limit: TimeLimit, stop: Stop) -> Sequence[Result]:
        """Return the results of rows that the program died at without an answer.

        The rows are halved, each half with a new process, until the row that it dies at is alone.
        """
        if len(rows) == 1:
            return [DIED]
        if len(rows) >= SINGLY and not self._right:
            first = [one for row in rows[:SINGLY] for one in self._work([row], limit, stop)]
            if all(one is DIED for one in first):
                raise HandlerError(
                    f"{self._argv[0]} ends without answering a row, whichever row it gets.",
                    "run it by hand: it must read JSON lines and answer each with a line, and stay up.",
                )
            return [*first, *(self._work(rows[SINGLY:], limit, stop) if rows[SINGLY:] else ())]
        middle = (len(rows) + 1) // 2
        return [*self._work(rows[:middle], limit, stop), *self._work(rows[middle:], limit, stop)]

    def _distrusted(self, answers: Answers, rows: int) -> Sequence[Result]:
        """Return a failure for each row: it is not known which row an answer is about, so none counts as done.

        Raise HandlerError if the program has never answered right.
        """
        self._wrong += 1
        text = f"{self._argv[0]} answered {answers.wrong}"
        if not self._right and (self._wrong >= MOST_WRONG or (rows >= MOST_WRONG and not answers.count)):
            raise HandlerError(
                f"{text}.", 'a result line is {"ok": true} or {"error": "why"}; messages belong on stderr.'
            )
        return [Failed(text if rows == 1 else f"{text}; nothing of its batch of {rows} counts as done")] * rows

    def _ask(self, rows: Sequence[Values], limit: TimeLimit) -> tuple[Answers, "AnswersEnd"]:
        program = self._program()
        answers = Answers(rows, self._key, program.answered)
        try:
            end = program.ask(answers, limit)
        except BaseException:
            self._end(program, limit)
            raise
        if end is AnswersEnd.WHOLE and not answers.wrong and not answers.stray:
            with self._guard:
                self._free.append(program)
        else:
            self._end(program, limit)
        return answers, end

    def _end(self, program: "Program", limit: TimeLimit) -> None:
        last = time.monotonic() + LAST_SECONDS
        program.end(limit.left if limit.passed else lambda: last - time.monotonic())
        with self._guard:
            self._running.discard(program)

    def _program(self) -> "Program":
        """Return a running program that waits for rows; start one if there is none.

        A program that printed something after its last answer is ended, with a warning.
        """
        while (program := self._take_free()) is not None:
            if program.ready():
                return program
            if program.unasked:
                self._warn(
                    f"{self._argv[0]} said something after its last answer: {program.unasked}. If it answers without "
                    'keys, the rows before may have got each other\'s answers. Let it answer with {"key": …} too.'
                )
            program.close()
            with self._guard:
                self._running.discard(program)
        try:
            program = Program(self._spawner.start(self._argv, reads="stdout"))
        except OSError as error:
            raise HandlerError(f"{self._argv[0]} did not start: {error.strerror}.") from error
        with self._guard:
            self._running.add(program)
        return program

    def _take_free(self) -> "Program | None":
        with self._guard:
            return self._free.pop() if self._free else None


class AnswersEnd(Enum):
    """How the answers of a program to a batch ended."""

    WHOLE = auto()
    """It has answered each row, and prints no more."""
    DIED = auto()
    OVER = auto()
    """Its time was over before it had answered each row."""
    WRONG = auto()


class Program:
    """A running program that gets batch after batch."""

    def __init__(self, child: Child, clock: Callable[[], float] = time.monotonic) -> None:
        self._child = child
        self._clock = clock
        self._begun = b""
        """The start of a line whose end has not arrived yet."""
        self.answered: frozenset[str] = frozenset()
        """The names of the rows of the last batch."""
        self.unasked = ""
        """What the program has printed since the last batch."""

    def ready(self) -> bool:
        """Whether the program runs, and has printed nothing since the last batch."""
        output = self._begun + self._child.wait_for_output(0)
        self.unasked = output.decode(errors="replace").strip()[:80]
        return not output and not self._child.ended

    def ask(self, answers: Answers, limit: TimeLimit) -> AnswersEnd:
        """Send the rows of a batch, and read answers until there is one for each row or the time is over."""
        self.answered = answers.names
        self._child.feed("".join(f"{text}\n" for text in answers.lines).encode())
        last, slowest, stop_sent = self._clock(), 0.0, False
        while not (answers.wrong and answers.heard >= len(answers.lines)):
            pause = limit.look()
            if limit.passed and not stop_sent:
                stop_sent = True
                self._child.signal(signal.SIGTERM)
            if limit.passed and limit.left() <= 0:
                return self._finish(answers, AnswersEnd.OVER)
            if answers.full and not self._child.unsent:
                # A program that answers without keys may print one line too many: wait about as long as for a row.
                quiet = 0.0 if answers.keyed else max(QUIET, slowest)
                if self._clock() - last >= quiet:
                    self._take(answers, self._child.wait_for_output(0))
                    return self._finish(answers, AnswersEnd.WHOLE)
                pause = min(pause, last + quiet - self._clock())
            before = answers.heard
            self._take(answers, self._child.wait_for_output(pause))
            if answers.heard > before:
                now = self._clock()
                last, slowest = now, max(slowest, now - last) if before else 0.0
            if self._child.ended:
                self._take(answers, self._child.read_rest())
                return self._finish(answers, AnswersEnd.OVER if limit.passed else AnswersEnd.DIED)
        return AnswersEnd.WRONG

    def end(self, left: Callable[[], float]) -> None:
        """End the program and all that it has started."""
        self._child.end(left)

    def close(self) -> None:
        """Close the program's stdin, and end it if it does not end by itself in time."""
        self._child.feed(b"", last=True)
        end = self._clock() + CLOSE_TIMEOUT
        while not self._child.ended and self._clock() < end:
            self._child.wait_for_output(end - self._clock())
        if self._child.ended:
            self._child.leave()
        else:
            self._child.end(lambda: end + CLOSE_TIMEOUT - self._clock())

    def _take(self, answers: Answers, output: bytes) -> None:
        *lines, self._begun = (self._begun + output).split(b"\n")
        for text in lines:
            answers.add(text.decode(errors="replace"))
        if len(self._begun) > LONGEST_LINE_BYTES:
            answers.heard = len(answers.lines)  # whatever comes next belongs to this line
            answers.unfinished(self._begun[:100].decode(errors="replace"))

    def _finish(self, answers: Answers, end: AnswersEnd) -> AnswersEnd:
        if answers.full and self._begun:
            answers.unfinished(self._begun.decode(errors="replace"))
        if answers.wrong:
            return AnswersEnd.WRONG
        return AnswersEnd.WHOLE if answers.full else end
