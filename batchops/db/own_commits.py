"""The signal `commit-latency`, which every database has: it is measured from the run's own COMMITs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchops.db.signals import Measured, Scope, ServerSignal

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True)
class OwnCommits:
    """Asks no database: nobody else knows how long a client waited."""

    scope: Scope

    def read(self, _: "sa.Connection") -> Measured:
        """The average of those that were answered lately."""
        seconds = self.scope.commit_seconds()
        return Measured(seconds, of="" if seconds is not None else "known once the run has committed")


COMMIT_LATENCY = ServerSignal(OwnCommits)
