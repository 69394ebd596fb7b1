"""One step of a drain: claim, deliver, finalise; two short transactions around the work."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.db.wire import as_text
from batchops.errors import BatchopsError, CutShortError, OutcomeUnknownError, RefusedError, RowRefusedError, UsageError
from batchops.events import Rejected
from batchops.handlers import Failed, Handler, HandlerDownError, HandlerError, Result, Unstarted
from batchops.handlers.sql import InSql
from batchops.queues.attempts import Attempts
from batchops.queues.bisect import apart, by_halves
from batchops.queues.claims import Claims
from batchops.queues.deadline import MOST_HANGING, Deadline, DeadlinePassedError
from batchops.queues.queue import Claim, Queue, Row
from batchops.queues.score import Score
from batchops.steps.inside import LOST, Inside
from batchops.steps.outcome import Outcome
from batchops.steps.verdicts import Verdicts, verdicts
from batchops.stop import Stop
from batchops.walks.part import Size


@dataclass
class InHand:
    """A claim on its way: claimed, delivered, finalised."""

    claim: Claim
    results: Sequence[Result] | None = None
    """What the handler said, once it has; it is not asked twice because a COMMIT failed."""
    in_doubt: bool = False
    """Whether the finalising COMMIT was sent and not answered."""
    rejected: list[Rejected] = field(default_factory=list)


class ClaimStep:
    """Rows claimed, worked on and finalised. Called again after an error, it goes on where that happened."""

    def __init__(
        self, queue: Queue, claims: Claims, handler: Handler, attempts: Attempts, deadline: Deadline, score: Score,
        stop: Stop,
    ) -> None:  # fmt: skip
        self._queue = queue
        self._claims = claims
        self._leases = claims.leases
        self._database = claims.database
        self._handler = handler
        self._attempts = attempts
        self._deadline = deadline
        self._score = score
        self._stop = stop
        self._inside = Inside(claims.database, handler, deadline, stop)
        self._marking = Inside(claims.database, InSql(), deadline, stop)
        self._late = f"the handler did not come back within {deadline.seconds:g} s"
        self._in_hand: InHand | None = None
        self._proved = False

    def __call__(self, size: Size) -> Outcome | None:
        """One claim's rows; None where nothing is free and due."""
        if self._in_hand is None:
            claim = self._claims.take(size.rows)
            if claim is None:
                return None
            self._in_hand = InHand(claim)
            self._score.add(claimed=len(claim.rows), dead=len(claim.parked))
            for row, reason in claim.parked:
                self._score.because(reason, [self._name(row.key)])
        now = self._in_hand
        try:
            outcome = self._finalised(now)
        except OutcomeUnknownError:
            now.in_doubt = True
            raise
        except (HandlerError, HandlerDownError, RefusedError, UsageError):
            self._hand_back(now.claim)
            raise
        self._claims.let_go(now.claim)
        self._in_hand = None
        return outcome

    def _finalised(self, now: InHand) -> Outcome:
        claim = now.claim
        if not claim.rows:
            return self._outcome(now, 0)
        try:
            if self._handler.inside:
                return self._worked(now, self._inside, [None] * len(claim.rows))
            if now.results is None:
                now.results = self._delivered(claim.rows)
            try:
                return self._marked(now, now.results)
            except RowRefusedError:  # one of the marks: found by halves, it fails alone
                return self._worked(now, self._marking, now.results)
        except DeadlinePassedError:
            return self._overdue(now)

    def _delivered(self, rows: Sequence[Row]) -> Sequence[Result]:
        end = time.monotonic() + self._deadline.seconds

        def work(some: Sequence[Row]) -> Sequence[Result]:
            if self._stop.at_once or time.monotonic() > end:
                return [Unstarted()] * len(some)
            values = [row.values for row in some]
            return self._deadline.call(lambda: self._handler(values, None, self._stop))

        # The failure of a whole batch may be another row's: what comes again is not handed over with others.
        suspected = self._handler.isolates
        return apart(rows, lambda row: suspected and row.attempts > 1, lambda some: by_halves(some, work))

    def _marked(self, now: InHand, results: Sequence[Result]) -> Outcome:
        sorted_ = verdicts(now.claim.rows, results, self._attempts)
        with self._database.transaction() as connection:
            done = len(self._leases.done(connection, now.claim.token, sorted_.done)) if sorted_.done else 0
            self._prove(connection, sorted_.done)
            settled = done + self._set_aside(connection, now, sorted_)
        return self._counted(now, done, settled, sorted_)

    def _worked(self, now: InHand, inside: Inside, before: Sequence[Result]) -> Outcome:
        """Rows that have not failed before: marked and worked on with savepoints between them."""
        claim = now.claim
        left = [row for row, one in zip(claim.rows, before, strict=True) if one is None]
        with self._database.transaction() as connection:

            def mark(connection: sa.Connection, keys: Sequence[KeyValue]) -> Sequence[KeyValue]:
                return list(self._leases.done(connection, claim.token, keys))

            answers = dict(zip((row.key for row in left), inside(connection, left, mark), strict=True))
            results = [answers.get(row.key, one) for row, one in zip(claim.rows, before, strict=True)]
            here = [(row, one) for row, one in zip(claim.rows, results, strict=True) if one is not LOST]
            sorted_ = verdicts([row for row, _ in here], [one for _, one in here], self._attempts)
            self._prove(connection, sorted_.done)
            settled = len(sorted_.done) + self._set_aside(connection, now, sorted_)
        return self._counted(now, len(sorted_.done), settled, sorted_)

    def _set_aside(self, connection: sa.Connection, now: InHand, sorted_: Verdicts) -> int:
        """The rows that are not done; how many of them were still held."""
        token, settled = now.claim.token, 0
        for (reason, seconds), keys in sorted_.again.items():
            settled += len(self._leases.retry(connection, token, keys, reason, seconds))
        now.rejected.clear()
        for reason, keys in sorted_.dead.items():
            gone = self._leases.dead(connection, token, keys, reason)
            self._prove(connection, keys if self._queue.failed else [])
            now.rejected += [Rejected(self._name(key), reason) for key in keys if key in gone]
            settled += len(gone)
        if sorted_.unstarted:
            self._leases.hand_back(connection, token, sorted_.unstarted)
        return settled + len(sorted_.unstarted)

    def _prove(self, connection: sa.Connection, keys: Sequence[KeyValue]) -> None:
        """RefusedError where a mark leaves rows pending: they would be worked on for ever."""
        if self._proved or not keys:
            return
        if self._leases.still_pending(connection, keys[:10]):
            raise RefusedError(
                "Rows stay pending when they are marked: --where still holds for them. Nothing was marked.",
                "let --done and --failed set what --where asks for.",
            )
        self._proved = True

    def _counted(self, now: InHand, done: int, settled: int, sorted_: Verdicts) -> Outcome:
        missing = len(now.claim.rows) - settled
        if now.in_doubt and self._claims.certain(now.claim):
            # Nobody can have taken them: the COMMIT whose answer was lost had been applied.
            done, missing = done + min(missing, len(sorted_.done) or missing), 0
        self._score.add(
            failed=sorted_.failures, dead=len(now.rejected), lost=missing, handed_back=len(sorted_.unstarted)
        )
        for reason, keys in sorted_.reasons():
            self._score.because(reason, [self._name(key) for key in keys])
        return self._outcome(now, done)

    def _outcome(self, now: InHand, done: int) -> Outcome:
        parked = [Rejected(self._name(row.key), reason) for row, reason in now.claim.parked]
        return Outcome(rows=done, read=len(now.claim.rows), rejected=(*parked, *now.rejected))

    def _overdue(self, now: InHand) -> Outcome:
        """The handler hangs: the one row failed; of several nobody knows which, so each is tried alone."""
        if self._deadline.given_up():
            # It may still be at work: the leases hold until they expire, and nobody begins the same beside it.
            self._stop.cut = True
            raise CutShortError("The handler did not come back within the grace period; its rows stay leased.")
        if self._deadline.hanging > MOST_HANGING:
            raise HandlerError(f"{self._deadline.hanging} calls of the handler hang.", "look what it waits for.")
        claim = now.claim
        if len(claim.rows) == 1:
            return self._marked(now, [Failed(self._late)])
        with self._database.transaction() as connection:
            self._leases.abandon(connection, claim.token, [row.key for row in claim.rows])
        self._score.add(failed=len(claim.rows))
        self._score.because(self._late, [self._name(row.key) for row in claim.rows])
        return self._outcome(now, 0)

    def _hand_back(self, claim: Claim) -> None:
        """Nothing was done: no attempt counts."""
        self._in_hand = None
        self._claims.let_go(claim)
        try:
            with self._database.transaction() as connection:
                self._leases.hand_back(connection, claim.token, [row.key for row in claim.rows])
        except BatchopsError:
            return  # the leases run out by themselves

    def _name(self, key: KeyValue) -> str:
        return ", ".join(f"{name}={as_text(value)}" for name, value in zip(self._queue.key, key, strict=True))
