"""What a plan reports about a PostgreSQL server: replicas, old snapshots, slots, prepared transactions."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

OLD = 5
"""Seconds after which a transaction that holds back the clean-up of dead rows is reported."""
_REPLICAS = sa.text("""
SELECT application_name || coalesce(' (' || state || ')', '') FROM pg_catalog.pg_stat_replication ORDER BY pid
""")
_SNAPSHOTS = sa.text("""
SELECT pid, usename::text AS role, application_name AS program, extract(epoch FROM now() - xact_start)::bigint AS age
FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_catalog.pg_backend_pid() AND backend_xmin IS NOT NULL AND datname = pg_catalog.current_database()
  AND backend_type = 'client backend' AND clock_timestamp() - xact_start > make_interval(secs => :old)
ORDER BY xact_start LIMIT 3
""")
_PREPARED = sa.text("""
SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() ORDER BY prepared LIMIT 3
""")
_SLOTS = sa.text("""
SELECT slot_name::text AS name, xmin IS NOT NULL AS rows FROM pg_catalog.pg_replication_slots
WHERE NOT active AND (xmin IS NOT NULL OR restart_lsn IS NOT NULL) ORDER BY 1 LIMIT 3
""")


def replicas(connection: sa.Connection) -> tuple[str, ...]:
    """Return the standbys and subscribers that are connected."""
    return tuple(connection.execute(_REPLICAS).scalars())


def warnings(connection: sa.Connection) -> Iterator[str]:
    """Yield warnings about everything that keeps dead rows, or WAL, for longer than the job needs them."""
    for row in connection.execute(_SNAPSHOTS, {"old": OLD}):
        yield _snapshot(row)
    for name in connection.execute(_PREPARED).scalars():
        yield (
            f'Prepared transaction "{name}" keeps dead rows in the table until it ends. '
            f"Hint: COMMIT PREPARED or ROLLBACK PREPARED '{name}'."
        )
    for slot in connection.execute(_SLOTS):
        kept = "dead rows and WAL" if slot.rows else "WAL"
        yield (
            f'Replication slot "{slot.name}" has no consumer and keeps {kept} on the disk. '
            f"Hint: if nothing will use it again, pg_drop_replication_slot('{slot.name}')."
        )


def _snapshot(row: sa.Row[Any]) -> str:
    return (
        f'Session {row.pid} ({row.role}, "{row.program}") has had a transaction open for {row.age} s: '
        "rows that are deleted now stay on the disk until it ends."
    )
