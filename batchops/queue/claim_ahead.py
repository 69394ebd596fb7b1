"""The claim of a worker's next batch, made in the transaction that finalises the one before."""

from contextlib import suppress
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError
from batchops.queue.claims import Claims
from batchops.queue.queue import Claim
from batchops.runtime.batch_size import Size


class ClaimAhead:
    """One BEGIN, one COMMIT and one wait for the disk serve two batches.

    The rows are leased as by any claim, and are released where their batch does not follow at once after all.
    """

    def __init__(self, database: Database, claims: Claims) -> None:
        self._database = database
        self._claims = claims
        self._sent: Claim | None = None
        """Claimed by the transaction that is under way."""
        self._doubtful: Claim | None = None
        """Claimed by an earlier one, which failed, or whose COMMIT had no answer."""
        self._ready: Claim | None = None
        self.failed = False
        """Whether the transaction failed in this claim: the batch before is finalised alone then."""
        self._rested = False
        """Whether the last batch did not follow at once: nor may the next one."""

    def begin(self) -> None:
        """Another transaction begins: the one before it did not end well, if anything is left of it."""
        self._doubtful, self._sent = self._sent or self._doubtful, None

    def claim(self, connection: sa.Connection, rows: int) -> None:
        """Claim up to so many rows, where nothing else has its turn before."""
        if self._rested or self.failed or self._doubtful is not None:
            self._rested = False
            return
        self.failed = True
        self._sent = self._claims.ahead(connection, rows)
        self.failed = False

    def committed(self) -> None:
        """The transaction has committed."""
        self.failed = False
        if self._sent is not None:
            self._ready, self._sent = self._claims.keep_ahead(self._sent), None

    def take(self, size: Size) -> Claim | None:
        """What was claimed for this batch; where a limit has come meanwhile, no more than that allows."""
        self._release_doubtful()
        if self._ready is not None:
            self._claims.low.look()
        claim, self._ready = self._ready, None
        if claim is None or size.follows or len(claim.rows) <= size.rows:
            return claim
        self._release(replace(claim, rows=claim.rows[size.rows :]))
        return replace(claim, rows=claim.rows[: size.rows])

    def release(self) -> None:
        """Release what was claimed: the batch does not follow, or not now."""
        self._rested = True
        self._release_doubtful()
        if self._ready is not None:
            self._claims.finish(self._ready)
            self._release(self._ready)
            self._ready = None

    def _release_doubtful(self) -> None:
        """The token of the rows tells whether they are leased."""
        self.begin()
        if self._doubtful is not None:
            self._release(self._doubtful)
            self._doubtful = None

    def _release(self, claim: Claim) -> None:
        with suppress(BatchopsError):  # else the leases run out by themselves
            with self._database.transaction() as connection:
                self._claims.leases.release(connection, claim.token, claim.rows.keys)
            self._claims.released()
