"""The claims of one process: claim, heartbeat, release."""

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from socket import gethostname

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.sessions import Joined
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, DeniedError, MarkRefusedError, RowRefusedError
from batchops.queue.handlers import Result, Unmarked
from batchops.queue.leases import Leases
from batchops.queue.low_water import QueueLowWaterMark
from batchops.queue.queue import ALONE, Assignments, Claim, ClaimedRows, Row, by_columns
from batchops.queue.results import blamed, reason
from batchops.runtime.bisect import by_halves
from batchops.runtime.heartbeat import Renewal, heartbeat
from batchops.runtime.lease import LeaseClock
from batchops.runtime.threads import Threads

MOST_RESCUED = 100
"""The most rows that are rescued together. They are tried alone, one after the other."""
RESCUE_EVERY = 1.0
"""The fewest seconds between two searches for lost leases."""
RESCUE_SHARE = 60
"""The pause before the next search is at least this many times as long as the last search took."""
_host = cache(gethostname)
DIED = "its worker's heartbeat stopped at {} attempts in a row, the last one with this row alone"


@dataclass
class HeldRows:
    """Leased rows, and the clock of their lease."""

    keys: Sequence[KeyValue]
    lease: LeaseClock


class Claims:
    """Claims rows and renews their leases. The workers of a process share one object."""

    def __init__(
        self, database: Database, leases: Leases, *, lease: float, attempts: int, one_by_one: bool, in_order: bool,
        failed: Assignments = (), marked: bool = False, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`one_by_one`: whether rows whose lease was lost are tried alone, as one of them may have caused that.

        `failed`: what marks a row that is given up. `marked`: whether rows have a mark while they are claimed.
        """
        self.database = database
        self.leases = leases
        self.seconds = lease
        self._attempts = attempts
        self._one_by_one = one_by_one
        self._failed = failed
        self._marked = marked
        self._undoable = False
        """Whether a trial has shown that a mark can be undone."""
        self._clock = clock
        self.low = QueueLowWaterMark(database, leases, clock, followed=in_order)
        self._held_rows: dict[str, HeldRows] = {}
        self._to_isolate: deque[tuple[Claim, Row]] = deque()
        """Rescued rows that are still to be tried alone, with the claim that holds them."""
        self._guard = threading.Lock()
        self._rescuing = threading.Lock()
        self._rescue_at = 0.0

    def claim(self, rows: int) -> Claim | None:
        """Claim up to that many rows; return None if no row of the whole table is free and due."""
        claim = self._next_isolated()
        if claim is None and self._clock() >= self._rescue_at:
            claim = self._rescued(rows, self.low.mark())
        claim = claim or self._free(rows)
        if claim is not None:
            self.low.look()
        return claim

    def ahead(self, connection: sa.Connection, rows: int) -> Claim | None:
        """Claim up to that many free rows in the caller's transaction; return None if `claim` has other work first."""
        now = self._clock()
        if self._marked or self._to_isolate or now >= self._rescue_at:
            return None
        token = _token(alone=rows == 1)
        found = self.leases.claim(connection, rows, self.low.begin(), token, self.seconds)
        return Claim(token, by_columns(found), claimed_at=now) if found else None

    def keep_ahead(self, claim: Claim) -> Claim:
        """Renew the leases of a claim made by `ahead`, from its commit on."""
        self.low.claimed(claim.rows.keys[-1])
        return self._keep(claim)

    def certain(self, claim: Claim) -> bool:
        """Whether the lease cannot have expired since it was last renewed."""
        held = self._held_rows.get(claim.token)
        return held is not None and held.lease.certain

    def leased(self) -> int:
        """Return the number of rows that this process has leased."""
        with self._guard:
            return sum(len(held.keys) for held in self._held_rows.values())

    def released(self) -> None:
        """Note that rows of this process are free again."""
        self.low.released()

    def finish(self, claim: Claim) -> None:
        """Stop renewing the leases of a claim that is finalised."""
        with self._guard:
            self._held_rows.pop(claim.token, None)

    @contextmanager
    def heartbeat(self, threads: Threads) -> Iterator[None]:
        """Renew the leases from a thread, three times in a lease's length, until the block ends."""
        try:
            with heartbeat(threads, self.seconds, self._held):
                yield
        finally:
            self.release_unclaimed()

    def _free(self, rows: int) -> Claim | None:
        began = self.low.begin()
        claim = self._claimed(rows, began)
        if claim is not None:
            return claim
        self.low.forget()
        if began is None:
            return self._rescued(rows, None)
        with self.database.reading() as connection:
            if not self.leases.claimable(connection):
                return None
        return self._claimed(rows, None) or self._rescued(rows, None)

    def _claimed(self, rows: int, low: KeyValue | None) -> Claim | None:
        token = _token(alone=rows == 1)
        taken = self._clock()
        joined = Joined.BEGIN if self._marked else Joined.BEGIN_AND_COMMIT
        with self.database.transaction(joined=joined) as connection:
            leased = self.leases.claim(connection, rows, low, token, self.seconds)
            found, refused = self._mark(connection, token, leased)
        if not found:
            return None
        self.low.claimed(found[-1].key)
        return self._keep(Claim(token, found, claimed_at=taken, refused=refused))

    def _mark(
        self, connection: sa.Connection, token: str, rows: Sequence[Row]
    ) -> tuple[ClaimedRows, Mapping[KeyValue, str]]:
        """Mark leased rows if there is --claimed; return them, and the reasons for rows whose mark is refused."""
        if not self._marked or not rows:
            return by_columns(rows), {}
        now: dict[KeyValue, Row] = {}

        def mark(some: Sequence[Row]) -> Sequence[Result]:
            with self.database.savepoint(connection):
                now.update((row.key, row) for row in self.leases.mark(connection, some))
            return [None] * len(some)

        self.database.backend.claims.check_at_once(connection)
        if not self._undoable:
            self._prove_undoable(connection, token, rows[0])
        try:
            results = by_halves(rows, mark, blamed)
        except DeniedError as error:
            results = [Unmarked(reason(error))] * len(rows)
        refused = {row.key: one.reason for row, one in zip(rows, results, strict=True) if isinstance(one, Unmarked)}
        return by_columns([now.get(row.key, row) for row in rows]), refused

    def _prove_undoable(self, connection: sa.Connection, token: str, row: Row) -> None:
        """Raise MarkRefusedError if a mark cannot be undone: a row that fails would stay marked, and never be found.

        A savepoint undoes the trial, with all that triggers did in it.
        """
        connection.exec_driver_sql("SAVEPOINT batchops_trial")
        try:
            with self.database.savepoint(connection):
                self.leases.mark(connection, [row])
        except (RowRefusedError, DeniedError):
            return  # the caller finds and reports this too
        try:
            with self.database.savepoint(connection):
                self.leases.unmark(connection, token, [row.key])
        except (RowRefusedError, DeniedError) as error:
            raise MarkRefusedError(
                f"The table accepts --claimed, but refuses the old values that would undo it: {reason(error)}",
                "use values for --claimed that the constraints and triggers allow to be undone.",
            ) from error
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT batchops_trial")
        self._undoable = True

    def _rescued(self, rows: int, low: KeyValue | None) -> Claim | None:
        """Claim rows whose lease has expired; one worker at a time."""
        if not self._rescuing.acquire(blocking=False):
            return None
        try:
            before = self._clock()
            with self.database.reading() as connection:
                lost = self.leases.lost(connection, low)
            claim = self._rescue(MOST_RESCUED if self._one_by_one else rows, low, before) if lost else None
            took = self._clock() - before
            self._rescue_at = 0.0 if claim else self._clock() + max(RESCUE_EVERY, RESCUE_SHARE * took)
            return claim
        finally:
            self._rescuing.release()

    def _rescue(self, rows: int, low: KeyValue | None, now: float) -> Claim | None:
        token = _token(alone=False)
        with self.database.transaction() as connection:
            self.leases.unmark_lost(connection, rows, low)
            dead_letters = self._dead_letter_poison(connection, low)
            leased = self.leases.rescue(connection, rows, low, token, self.seconds)
            found, refused = self._mark(connection, token, leased)
        if not found and not dead_letters:
            return None
        claim = self._keep(
            Claim(token, found, rescued=True, claimed_at=now, dead_letters=dead_letters, refused=refused)
        )
        if not self._one_by_one:
            return claim
        with self._guard:
            self._to_isolate += [(claim, row) for row in claim.rows]
        return self._next_isolated() if not dead_letters else Claim(_token(alone=True), dead_letters=dead_letters)

    def _next_isolated(self) -> Claim | None:
        """Return a claim of the next rescued row alone; None if there is none."""
        while True:
            with self._guard:
                if not self._to_isolate:
                    return None
                claim, row = self._to_isolate.popleft()
            alone, now = _token(alone=True), self._clock()
            try:
                with self.database.transaction() as connection:
                    mine = self.leases.isolate(connection, claim.token, row.key, alone)
            except BatchopsError:
                with self._guard:
                    self._to_isolate.appendleft((claim, row))
                raise
            self._forget(claim.token, row)
            if mine:
                found = by_columns([row._replace(attempts=row.attempts + 1)])
                return self._keep(Claim(alone, found, rescued=True, claimed_at=now, refused=claim.refused))

    def release_unclaimed(self) -> None:
        """Release rescued rows that no worker has tried. If that fails, their leases expire by themselves."""
        with self._guard:
            left, self._to_isolate = list(self._to_isolate), deque()
        for token in {claim.token for claim, _ in left}:
            keys = [row.key for claim, row in left if claim.token == token]
            with suppress(BatchopsError), self.database.transaction() as connection:
                self.leases.expire(connection, token, keys)

    def _forget(self, token: str, row: Row) -> None:
        with self._guard:
            if (held := self._held_rows.get(token)) is not None:
                held.keys = [key for key in held.keys if key != row.key]
                if not held.keys:
                    del self._held_rows[token]

    def _dead_letter_poison(self, connection: sa.Connection, low: KeyValue | None) -> Sequence[tuple[Row, str]]:
        poison = (connection, self._attempts if self._one_by_one else None, low, DIED.format(self._attempts))
        try:
            with self.database.savepoint(connection):
                return self.leases.dead_letter_poison(*poison, self._failed)
        except (RowRefusedError, DeniedError):
            return self.leases.dead_letter_poison(*poison, ())  # better a dead letter without mark than endless claims

    def _keep(self, claim: Claim) -> Claim:
        with self._guard:
            self._held_rows[claim.token] = HeldRows(
                claim.rows.keys, LeaseClock(self.seconds, self._clock, claim.claimed_at)
            )
        return claim

    def _held(self) -> list[Renewal]:
        with self._guard:
            return [(held.lease, partial(self._renew, token, held)) for token, held in self._held_rows.items()]

    def _renew(self, token: str, held: HeldRows) -> bool:
        """Renew a lease. Rows that another worker took stay its own: the finalising transaction checks the token."""
        with self.database.transaction() as connection:
            self.leases.renew(connection, token, held.keys, self.seconds)
        return True


def _token(*, alone: bool) -> str:
    """Return a new token, which names the process; it has at most 40 characters."""
    worker = f"{_host()[:16]}.{os.getpid() % 10_000_000}"
    return f"{ALONE if alone else ''}{worker}.{secrets.token_hex(5)}"
