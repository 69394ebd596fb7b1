"""What a PostgreSQL server can be watched for."""

from collections.abc import Mapping

from batchops.db.postgresql import blocked, replica_lag
from batchops.db.signals import ServerSignal

SIGNALS: Mapping[str, ServerSignal] = {
    "replica-lag": replica_lag.SIGNAL,
    "blocked": blocked.SIGNAL,
}
