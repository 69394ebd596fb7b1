"""The step of a drain: claims rows, calls the handler and finalises, in short transactions around the work."""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.claims import Marked
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
    """Claims, works on and finalises rows. After an error, the next call continues where the error happened."""

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
        """Whether constraints are checked before COMMIT: from the first refusal on."""
        self._current: ClaimInHand | None = None
        self._ahead = ClaimAhead(claims.database, claims)

    def __call__(self, size: Size) -> Outcome | None:
        """Work on one claim; return None if no row is free and due. Claim one row until the table accepts a mark."""
        if self._marks.taken or self._current is not None:
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
        """Release the rows claimed ahead, whose batch does not follow, or not now."""
        self._ahead.release()

    def _one_claim(self, size: Size) -> Outcome | None:
        if self._marks.refusal is not None:
            raise self._marks.refusal
        if self._current is None:
            claim = self._ahead.take(size) or self._claims.claim(size.rows)
            if claim is None:
                return None
            self._current = ClaimInHand(claim)
            self._counters.add(claimed=len(claim.rows), dead_letters=len(claim.dead_letters))
            for row, why in claim.dead_letters:
                self._counters.because(why, [self._queue.row_name(row.key)])
        now = self._current
        try:
            outcome = self._finalise(now, size)
        except OutcomeUnknownError:
            now.in_doubt = True
            raise
        except (HandlerError, HandlerDownError, HandlerLoginError, RefusedError, UsageError):
            self._release(now.claim)
            raise
        self._claims.finish(now.claim)
        self._current = None
        if now.final:
            self._marks.judge(self._database, self._leases, now.claim.rows, now.final, self._queue.row_name)
        return outcome

    def _finalise(self, now: ClaimInHand, size: Size) -> Outcome:
        if not now.claim.rows:
            return self._outcome(now, 0)
        try:
            if self._handler.in_transaction:
                return self._work_in_transaction(now)
            if now.results is None:
                now.results = self._deliver(now.claim)
            try:
                return self._mark_and_claim(now, now.results, size)
            except RowRefusedError:
                self._at_once = True  # the mark of one row: found by halving, that row fails alone
                return self._work(now, self._marking, now.results)
        except DeadlinePassedError:
            return self._overdue(now)
        except (DeniedError, RowRefusedError) as error:  # by a trigger's statement, or by COMMIT
            refused, before = Unmarked(reason(error)), now.results or untried(now.claim)
            return self._mark(now, [refused if one is None else one for one in before])

    def _work_in_transaction(self, now: ClaimInHand) -> Outcome:
        before = untried(now.claim)
        try:
            return self._work(now, self._in_transaction, before)
        except RowRefusedError:
            if self._at_once:
                raise
            self._at_once = True
            return self._work(now, self._in_transaction, before)

    def _deliver(self, claim: Claim) -> Sequence[Result]:
        if not claim.refused:
            return self._handle(claim.rows)
        rows = by_columns([row for row in claim.rows if row.key not in claim.refused])
        results = iter(self._handle(rows) if rows else ())
        return [next(results) if one is None else one for one in untried(claim)]

    def _handle(self, rows: ClaimedRows) -> Sequence[Result]:
        end = time.monotonic() + self._deadline.seconds

        def work(some: Sequence[Row]) -> Sequence[Result]:
            if self._stop.at_once or time.monotonic() > end:
                return [Unstarted()] * len(some)
            values = by_columns(some).values()
            return self._deadline.call(lambda: self._handler(values, None, self._stop))

        # Another row may have failed the whole batch: a row that was tried before is tried alone.
        if not self._handler.isolate_failed or max(rows.attempts) <= 1:
            return by_halves(rows, work, blamed)
        return apart(rows, lambda row: row.attempts > 1, lambda some: by_halves(some, work, blamed))

    def _mark_and_claim(self, now: ClaimInHand, results: Sequence[Result], size: Size) -> Outcome:
        try:
            return self._mark(now, results, size)
        except (DeniedError, RowRefusedError):
            if not self._ahead.failed:
                raise
        return self._mark(now, results)  # the refusal may have been of a row of the next claim

    def _mark(self, now: ClaimInHand, results: Sequence[Result], size: Size | None = None) -> Outcome:
        """Finalise with these results. `size`: the size of the next batch, if this may claim it too."""
        sorted_ = sort_results(now.claim.rows, results, self._attempts)
        self._ahead.begin()
        with self._database.transaction(joined=Joined.BEGIN) as connection:
            marked = self._leases.ack(connection, now.claim.token, sorted_.done, len(now.claim.rows))
            aside = self._set_aside(connection, now, sorted_)
            if size is not None and size.follows and not (self._stop.asked or sorted_.unstarted):
                now.forget_values()
                self._ahead.claim(connection, size.rows)
            done = len(self._marks.prove(connection, self._leases, now.claim.token, sorted_.done, marked()))
        self._ahead.committed()
        # If every lease was lost, no row was marked, and nothing is known about marks.
        now.final = results if done or not sorted_.done else ()
        return self._counted(now, done, done + aside, sorted_)

    def _work(self, now: ClaimInHand, in_transaction: InTransaction, before: Sequence[Result]) -> Outcome:
        """Work on and mark the rows that have no result in `before`, with savepoints, in one transaction."""
        claim, left = now.claim, [row for row, one in zip(now.claim.rows, before, strict=True) if one is None]
        with self._database.transaction() as connection:
            if self._at_once:
                self._database.backend.claims.check_at_once(connection)

            def mark(connection: sa.Connection, keys: Sequence[KeyValue]) -> Collection[KeyValue]:
                marked = self._leases.ack(connection, claim.token, keys, len(claim.rows))
                return frozenset(self._marks.prove(connection, self._leases, claim.token, keys, marked()))

            answers = dict(zip((row.key for row in left), in_transaction(connection, left, mark), strict=True))
            results = [answers.get(row.key, one) for row, one in zip(claim.rows, before, strict=True)]
            here = [(row, one) for row, one in zip(claim.rows, results, strict=True) if one is not LOST]
            sorted_ = sort_results([row for row, _ in here], [one for _, one in here], self._attempts)
            settled = len(sorted_.done) + self._set_aside(connection, now, sorted_)
        now.final = results
        return self._counted(now, len(sorted_.done), settled, sorted_)

    def _set_aside(self, connection: sa.Connection, now: ClaimInHand, sorted_: SortedResults) -> int:
        """Release, retry or give up the rows that are not done; return how many of them were still held."""
        token, settled = now.claim.token, 0
        for (why, seconds), keys in sorted_.retry.items():
            settled += len(self._leases.retry(connection, token, keys, why, seconds))
        now.rejected.clear()
        for why, keys in sorted_.dead_letters.items():
            gone = self._give_up(connection, token, keys, why)
            now.rejected += [Rejected(self._queue.row_name(key), why) for key in keys if key in gone]
            settled += len(gone)
        if sorted_.unstarted:
            self._leases.release(connection, token, sorted_.unstarted)
        return settled + len(sorted_.unstarted)

    def _give_up(
        self, connection: sa.Connection, token: str, keys: Sequence[KeyValue], why: str
    ) -> Collection[KeyValue]:
        """Give up rows, without the mark of --failed if the database refuses it; return those that were held."""
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
            self._marks.prove(connection, self._leases, token, list(gone), Marked(gone))
        refused = {key: one.reason for key, one in zip(keys, results, strict=True) if isinstance(one, Unmarked)}
        for key, text in refused.items():
            both = f"{why[:200]}; --failed was refused: {text}"[:400]
            gone.update(self._leases.dead_letter(connection, token, [key], both, ()))
        if refused and len(refused) == len(keys):
            self._marks.refuse("--failed", next(iter(refused.values())), self._queue.row_name(keys[0]))
        return gone

    def _counted(self, now: ClaimInHand, done: int, settled: int, sorted_: SortedResults) -> Outcome:
        missing = len(now.claim.rows) - settled
        if sorted_.unstarted:
            self._claims.released()
        if now.in_doubt and self._claims.certain(now.claim):
            # No other worker can have them: the COMMIT without an answer was applied.
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
        """Finalise a claim whose handler hangs: a single row failed; of several, each is tried alone later."""
        if self._deadline.given_up():
            # The call may still run: its rows stay leased until the leases expire, so no other worker starts them.
            self._stop.cut = True
            raise CutShortError("The handler did not return within the grace period; its rows stay leased.")
        if self._deadline.hanging > MOST_HANGING:
            raise HandlerError(f"{self._deadline.hanging} calls of the handler hang.", "find out what it waits for.")
        claim = now.claim
        if len(claim.rows) == 1:
            return self._mark(now, [Failed(self._late)])
        with self._database.transaction() as connection:
            self._leases.expire(connection, claim.token, claim.rows.keys)
        self._counters.add(failed=len(claim.rows))
        self._counters.because(self._late, [self._queue.row_name(key) for key in claim.rows.keys])
        return self._outcome(now, 0)

    def _release(self, claim: Claim) -> None:
        """Release the rows of a claim that nothing was done for: no attempt is counted."""
        self._current = None
        self._claims.finish(claim)
        try:
            with self._database.transaction() as connection:
                self._leases.release(connection, claim.token, claim.rows.keys)
        except BatchopsError:
            return  # the leases expire by themselves
        self._claims.released()
