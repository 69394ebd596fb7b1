"""The signal `commit-latency`, which every database has: it is measured from the run's own COMMITs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchops.db.signals import Measured, Scope, ServerSignal

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True)
class OwnCommits:
    """Reads the signal from the run's own measurements: no database knows how long its client waited for a COMMIT."""

    scope: Scope

    def read(self, _: "sa.Connection") -> Measured:
        """Return the mean time of recent COMMITs."""
        seconds = self.scope.commit_seconds()
        return Measured(seconds, of="" if seconds is not None else "known once the run has committed")


COMMIT_LATENCY = ServerSignal(OwnCommits)
