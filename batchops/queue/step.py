"""One step of a drain: claim, deliver, finalise, in short transactions around the work."""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.claims import Marked, MarkedLater
from batchops.db.sessions import Joined
from batchops.db.types import KeyValue
from batchops.errors import (
    BatchopsError,
    CutShortError,
    DeniedError,
    OutcomeUnknownError,
    RefusedError,
    RowRefusedError,
    UsageError,
)
from batchops.events import Rejected
from batchops.queue.claim_ahead import ClaimAhead
from batchops.queue.claims import Claims
from batchops.queue.deadline import MOST_HANGING, Deadline, DeadlinePassedError
from batchops.queue.handlers import (
    Failed,
    Handler,
    HandlerDownError,
    HandlerError,
    HandlerLoginError,
    Result,
    Unmarked,
    Unstarted,
)
from batchops.queue.handlers.sql import SqlHandler
from batchops.queue.in_transaction import LOST, InTransaction
from batchops.queue.mark_check import Marks
from batchops.queue.queue import Claim, ClaimedRows, Queue, Row, by_columns
from batchops.queue.results import ClaimInHand, SortedResults, apart, blamed, reason, sort_results, untried
from batchops.runtime.backoff import RetryPolicy
from batchops.runtime.batch_size import Size
from batchops.runtime.bisect import by_halves
from batchops.runtime.counters import Counters
from batchops.runtime.outcome import Outcome
from batchops.runtime.stop import Stop


class ClaimStep:
    """Rows claimed, worked on and finalised. Called again after an error, it continues where that happened."""

    def __init__(
        self, queue: Queue, claims: Claims, handler: Handler, attempts: RetryPolicy, deadline: Deadline,
        counters: Counters, marks: Marks, stop: Stop,
    ) -> None:  # fmt: skip
        self._queue = queue
        self._claims = claims
        self._leases = claims.leases
        self._database = claims.database
        self._handler = handler
        self._attempts = attempts
        self._deadline = deadline
        self._counters = counters
        self._marks = marks
        self._stop = stop
        self._in_transaction = InTransaction(claims.database, handler, deadline, stop)
        self._marking = InTransaction(claims.database, SqlHandler(), deadline, stop)
        self._late = f"the handler did not return within {deadline.seconds:g} s"
        self._at_once = False
        """Whether what COMMIT would refuse is looked for before it: once something was refused."""
        self._in_hand: ClaimInHand | None = None
        self._ahead = ClaimAhead(claims.database, claims)

    def __call__(self, size: Size) -> Outcome | None:
        """One claim's rows, of one row until the table has taken a mark; None where nothing is free and due."""
        if self._marks.taken or self._in_hand is not None:
            return self._one_claim(size)
        with self._marks.trial(self._stop) as mine:
            if self._marks.refusal is not None:
                raise self._marks.refusal
            if not mine:
                return Outcome(rows=0, read=0)
            outcome = self._one_claim(Size(rows=1, read=1))
        if outcome is None:
            return None
        return replace(outcome, trial=self._marks.taken, size=Size(rows=1, read=1))

    def release(self) -> None:
        """Release what was claimed for a batch that does not follow, or not now."""
        self._ahead.release()

    def _one_claim(self, size: Size) -> Outcome | None:
        if self._marks.refusal is not None:
            raise self._marks.refusal
        if self._in_hand is None:
            claim = self._ahead.take(size) or self._claims.claim(size.rows)
            if claim is None:
                return None
            self._in_hand = ClaimInHand(claim)
            self._counters.add(claimed=len(claim.rows), dead_letters=len(claim.dead_letters))
            for row, why in claim.dead_letters:
                self._counters.because(why, [self._queue.row_name(row.key)])
        now = self._in_hand
        try:
            outcome = self._finalised(now, size)
        except OutcomeUnknownError:
            now.in_doubt = True
            raise
        except (HandlerError, HandlerDownError, HandlerLoginError, RefusedError, UsageError):
            self._release(now.claim)
            raise
        self._claims.finish(now.claim)
        self._in_hand = None
        if now.final:
            self._marks.judge(self._database, self._leases, now.claim.rows, now.final, self._queue.row_name)
        return outcome

    def _finalised(self, now: ClaimInHand, size: Size) -> Outcome:
        if not now.claim.rows:
            return self._outcome(now, 0)
        try:
            if self._handler.in_transaction:
                return self._worked_in_transaction(now)
            if now.results is None:
                now.results = self._delivered(now.claim)
            try:
                return self._marked_and_claimed(now, now.results, size)
            except RowRefusedError:
                self._at_once = True  # one of the marks: found by halves, it fails alone
                return self._worked(now, self._marking, now.results)
        except DeadlinePassedError:
            return self._overdue(now)
        except (DeniedError, RowRefusedError) as error:  # by a trigger's statement, or by COMMIT
            refused, before = Unmarked(reason(error)), now.results or untried(now.claim)
            return self._marked(now, [refused if one is None else one for one in before])

    def _worked_in_transaction(self, now: ClaimInHand) -> Outcome:
        before = untried(now.claim)
        try:
            return self._worked(now, self._in_transaction, before)
        except RowRefusedError:
            if self._at_once:
                raise
            self._at_once = True
            return self._worked(now, self._in_transaction, before)

    def _delivered(self, claim: Claim) -> Sequence[Result]:
        if not claim.refused:
            return self._handled(claim.rows)
        rows = by_columns([row for row in claim.rows if row.key not in claim.refused])
        results = iter(self._handled(rows) if rows else ())
        return [next(results) if one is None else one for one in untried(claim)]

    def _handled(self, rows: ClaimedRows) -> Sequence[Result]:
        end = time.monotonic() + self._deadline.seconds

        def work(some: Sequence[Row]) -> Sequence[Result]:
            if self._stop.at_once or time.monotonic() > end:
                return [Unstarted()] * len(some)
            values = by_columns(some).values
            return self._deadline.call(lambda: self._handler(values, None, self._stop))

        # The failure of a whole batch may be another row's: what comes again is not handed over with others.
        if not self._handler.isolate_failed or max(rows.attempts) <= 1:
            return by_halves(rows, work, blamed)
        return apart(rows, lambda row: row.attempts > 1, lambda some: by_halves(some, work, blamed))

    def _marked_and_claimed(self, now: ClaimInHand, results: Sequence[Result], size: Size) -> Outcome:
        try:
            return self._marked(now, results, size)
        except (DeniedError, RowRefusedError):
            if not self._ahead.failed:
                raise
        return self._marked(now, results)  # what was refused may have been a row of the next claim

    def _marked(self, now: ClaimInHand, results: Sequence[Result], size: Size | None = None) -> Outcome:
        """`size`: of the next batch, where its rows may be claimed along."""
        sorted_ = sort_results(now.claim.rows, results, self._attempts)
        self._ahead.begin()
        with self._database.transaction(joined=Joined.BEGIN) as connection:
            marked = self._leases.ack(connection, now.claim.token, sorted_.done)
            aside = self._set_aside(connection, now, sorted_)
            if size is not None and size.follows and not (self._stop.asked or sorted_.unstarted):
                now.forget_values()
                self._ahead.claim(connection, size.rows)
            done = len(self._proved(connection, sorted_.done, marked))
        self._ahead.committed()
        # Where every lease was lost nothing was marked, and nothing is known of the marks.
        now.final = results if done or not sorted_.done else ()
        return self._counted(now, done, done + aside, sorted_)

    def _worked(self, now: ClaimInHand, in_transaction: InTransaction, before: Sequence[Result]) -> Outcome:
        """Rows that have not failed before: marked and worked on with savepoints between them."""
        claim = now.claim
        left = [row for row, one in zip(claim.rows, before, strict=True) if one is None]
        with self._database.transaction() as connection:
            if self._at_once:
                self._database.backend.claims.check_at_once(connection)

            def mark(connection: sa.Connection, keys: Sequence[KeyValue]) -> Sequence[KeyValue]:
                return list(self._proved(connection, keys, self._leases.ack(connection, claim.token, keys)))

            answers = dict(zip((row.key for row in left), in_transaction(connection, left, mark), strict=True))
            results = [answers.get(row.key, one) for row, one in zip(claim.rows, before, strict=True)]
            here = [(row, one) for row, one in zip(claim.rows, results, strict=True) if one is not LOST]
            sorted_ = sort_results([row for row, _ in here], [one for _, one in here], self._attempts)
            settled = len(sorted_.done) + self._set_aside(connection, now, sorted_)
        now.final = results
        return self._counted(now, len(sorted_.done), settled, sorted_)

    def _set_aside(self, connection: sa.Connection, now: ClaimInHand, sorted_: SortedResults) -> int:
        """The rows that are not done; how many of them were still held."""
        token, settled = now.claim.token, 0
        for (why, seconds), keys in sorted_.retry.items():
            settled += len(self._leases.retry(connection, token, keys, why, seconds))
        now.rejected.clear()
        for why, keys in sorted_.dead_letters.items():
            gone = self._given_up(connection, token, keys, why)
            now.rejected += [Rejected(self._queue.row_name(key), why) for key in keys if key in gone]
            settled += len(gone)
        if sorted_.unstarted:
            self._leases.release(connection, token, sorted_.unstarted)
        return settled + len(sorted_.unstarted)

    def _given_up(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], why: str
    ) -> Collection[KeyValue]:
        """Rows set aside; unmarked where the database refuses --failed."""
        gone: set[KeyValue] = set()

        def mark(some: Sequence[KeyValue]) -> Sequence[Result]:
            with self._database.savepoint(connection):
                gone.update(self._leases.dead_letter(connection, token, some, why, self._queue.failed))
            return [None] * len(some)

        if not self._queue.failed:
            return self._leases.dead_letter(connection, token, keys, why, ())
        try:
            results = by_halves(keys, mark, blamed)
        except DeniedError as error:
            results = [Unmarked(reason(error))] * len(keys)
        if not self._marks.proved:
            self._marks.prove(connection, self._leases, list(gone), Marked(gone))
        refused = {key: one.reason for key, one in zip(keys, results, strict=True) if isinstance(one, Unmarked)}
        for key, text in refused.items():
            both = f"{why[:200]}; --failed was refused: {text}"[:400]
            gone.update(self._leases.dead_letter(connection, token, [key], both, ()))
        if refused and len(refused) == len(keys):
            self._marks.refuse("--failed", next(iter(refused.values())), self._queue.row_name(keys[0]))
        return gone

    def _proved(self, connection: sa.Connection, keys: Sequence[KeyValue], marked: MarkedLater) -> Collection[KeyValue]:
        done = marked()
        self._marks.prove(connection, self._leases, keys, done)
        return done.keys

    def _counted(self, now: ClaimInHand, done: int, settled: int, sorted_: SortedResults) -> Outcome:
        missing = len(now.claim.rows) - settled
        if sorted_.unstarted:
            self._claims.released()
        if now.in_doubt and self._claims.certain(now.claim):
            # Nobody can have taken them: the COMMIT whose answer was lost had been applied.
            done, missing = done + min(missing, len(sorted_.done) or missing), 0
        self._counters.add(
            failed=sorted_.failures, dead_letters=len(now.rejected), lost=missing, released=len(sorted_.unstarted)
        )
        for why, keys in sorted_.reasons():
            self._counters.because(why, [self._queue.row_name(key) for key in keys])
        return self._outcome(now, done)

    def _outcome(self, now: ClaimInHand, done: int) -> Outcome:
        dead_letters = [Rejected(self._queue.row_name(row.key), why) for row, why in now.claim.dead_letters]
        return Outcome(rows=done, read=len(now.claim.rows), rejected=(*dead_letters, *now.rejected))

    def _overdue(self, now: ClaimInHand) -> Outcome:
        """The handler hangs: the one row failed; of several nobody knows which, so each is tried alone."""
        if self._deadline.given_up():
            # It may still be running: the leases hold until they expire, and nobody begins the same beside it.
            self._stop.cut = True
            raise CutShortError("The handler did not return within the grace period; its rows stay leased.")
        if self._deadline.hanging > MOST_HANGING:
            raise HandlerError(f"{self._deadline.hanging} calls of the handler hang.", "find out what it waits for.")
        claim = now.claim
        if len(claim.rows) == 1:
            return self._marked(now, [Failed(self._late)])
        with self._database.transaction() as connection:
            self._leases.expire(connection, claim.token, claim.rows.keys)
        self._counters.add(failed=len(claim.rows))
        self._counters.because(self._late, [self._queue.row_name(key) for key in claim.rows.keys])
        return self._outcome(now, 0)

    def _release(self, claim: Claim) -> None:
        """Nothing was done: no attempt counts."""
        self._in_hand = None
        self._claims.finish(claim)
        try:
            with self._database.transaction() as connection:
                self._leases.release(connection, claim.token, claim.rows.keys)
        except BatchopsError:
            return  # the leases run out by themselves
        self._claims.released()
