"""The throttles, for which a run waits between batches: one file for each, and this registry."""

from batchops.throttles import (
    active_per_cpu,
    active_sessions,
    archive_backlog,
    blocked,
    commit_latency,
    dead_tuples,
    file,
    flow_control,
    free_disk,
    history_list,
    http,
    load,
    query,
    replica_lag,
    slot_lag,
    threads_running,
    vacuum,
    wal_rate,
    wal_size,
    xmin_age,
)  # fmt: skip
from batchops.throttles.kind import ThrottleKind

THROTTLES: tuple[ThrottleKind, ...] = (
    replica_lag.KIND, blocked.KIND, commit_latency.KIND, slot_lag.KIND, xmin_age.KIND, dead_tuples.KIND, vacuum.KIND,
    active_sessions.KIND, active_per_cpu.KIND, archive_backlog.KIND, wal_rate.KIND, threads_running.KIND,
    history_list.KIND, flow_control.KIND, wal_size.KIND, free_disk.KIND, load.KIND, file.KIND, query.KIND, http.KIND,
)  # fmt: skip
"""All throttles, in the order of the help."""
