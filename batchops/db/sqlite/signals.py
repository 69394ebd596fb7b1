"""The signals of a SQLite file, by name."""

from batchops.db.own_commits import COMMIT_LATENCY
from batchops.db.signals import ServerSignal
from batchops.db.sqlite import free_disk, wal_size

SIGNALS: dict[str, ServerSignal] = {
    "commit-latency": COMMIT_LATENCY,
    "wal-size": wal_size.SIGNAL,
    "free-disk": free_disk.SIGNAL,
}
