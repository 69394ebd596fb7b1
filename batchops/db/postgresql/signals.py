"""The signals of a PostgreSQL server, by name."""

from collections.abc import Mapping

from batchops.db.own_commits import COMMIT_LATENCY
from batchops.db.postgresql import active_sessions, blocked, dead_rows, host, replica_lag, wal_backlog, wal_rate
from batchops.db.signals import ServerSignal

SIGNALS: Mapping[str, ServerSignal] = {
    "replica-lag": replica_lag.SIGNAL,
    "blocked": blocked.SIGNAL,
    "commit-latency": COMMIT_LATENCY,
    "slot-lag": wal_backlog.SLOT_LAG,
    "xmin-age": dead_rows.XMIN_AGE,
    "dead-tuples": dead_rows.DEAD_TUPLES,
    "vacuum": dead_rows.VACUUM,
    "active-sessions": active_sessions.SIGNAL,
    "active-per-cpu": host.ACTIVE_PER_CPU,
    "free-disk": host.FREE_DISK,
    "wal-rate": wal_rate.SIGNAL,
    "archive-backlog": wal_backlog.ARCHIVE_BACKLOG,
}
