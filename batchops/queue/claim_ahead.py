"""Claims a worker's next batch in the transaction that finalises the batch before it."""

from contextlib import suppress
from dataclasses import replace

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError
from batchops.queue.claims import Claims
from batchops.queue.queue import Claim
from batchops.runtime.batch_size import Size


class ClaimAhead:
    """Claims the next batch ahead: one BEGIN, one COMMIT and one wait for the disk serve two batches.

    The rows are leased as in any claim. They are released if their batch does not follow at once.
    """

    def __init__(self, database: Database, claims: Claims) -> None:
        self._database = database
        self._claims = claims
        self._current: Claim | None = None
        """The claim of the current transaction."""
        self._doubtful: Claim | None = None
        """The claim of an earlier transaction, which failed or whose COMMIT had no answer."""
        self._ready: Claim | None = None
        """The claim of a transaction that has committed."""
        self.failed = False
        """Whether the transaction failed in this claim. If so, the batch before is finalised alone."""
        self._rested = False
        """Whether the last batch did not follow at once, so that the next one may not either."""

    def begin(self) -> None:
        """Note that a transaction begins. If a claim of the one before is left, that transaction did not commit."""
        self._doubtful, self._current = self._current or self._doubtful, None

    def claim(self, connection: sa.Connection, rows: int) -> None:
        """Claim up to that many rows, unless something else comes before them."""
        if self._rested or self.failed or self._doubtful is not None:
            self._rested = False
            return
        self.failed = True
        self._current = self._claims.ahead(connection, rows)
        self.failed = False

    def committed(self) -> None:
        """Note that the transaction has committed."""
        self.failed = False
        if self._current is not None:
            self._ready, self._current = self._claims.keep_ahead(self._current), None

    def take(self, size: Size) -> Claim | None:
        """Return the claim for this batch, and release rows above its size if a limit has lowered that meanwhile."""
        self._release_doubtful()
        if self._ready is not None:
            self._claims.low.look()
        claim, self._ready = self._ready, None
        if claim is None or size.follows or len(claim.rows) <= size.rows:
            return claim
        self._release(replace(claim, rows=claim.rows[size.rows :]))
        return replace(claim, rows=claim.rows[: size.rows])

    def release(self) -> None:
        """Release the claimed rows, whose batch does not follow, or not now."""
        self._rested = True
        self._release_doubtful()
        if self._ready is not None:
            self._claims.finish(self._ready)
            self._release(self._ready)
            self._ready = None

    def _release_doubtful(self) -> None:
        """Release the claim of a failed transaction; its token finds no rows if they were not leased."""
        self.begin()
        if self._doubtful is not None:
            self._release(self._doubtful)
            self._doubtful = None

    def _release(self, claim: Claim) -> None:
        with suppress(BatchopsError):  # if this fails, the leases expire by themselves
            with self._database.transaction() as connection:
                self._claims.leases.release(connection, claim.token, claim.rows.keys)
            self._claims.released()
