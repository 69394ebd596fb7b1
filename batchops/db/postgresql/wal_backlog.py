"""Signals about WAL that a PostgreSQL server has to keep: for logical slots, and for archiving."""

import sqlalchemy as sa

from batchops.db.postgresql.one_row import OneRow
from batchops.db.signals import Measured, ServerSignal
from batchops.errors import UnreachableError

_SLOTS = sa.text("""
SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn)) AS value,
       'slot ' || slot_name || CASE WHEN active THEN '' ELSE ' (no consumer)' END AS of
FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND coalesce(wal_status, '') <> 'lost'
ORDER BY 1 DESC LIMIT 1
""")
# Names of WAL files have 8 digits each for the timeline, for the 4 GiB of WAL, and for the file within these.
_ARCHIVE = sa.text("""
SELECT current_setting('archive_mode') <> 'off' AS archives, last_archived_wal AS archived,
       pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) AS current,
       4294967296 / pg_catalog.pg_size_bytes(current_setting('wal_segment_size')) AS files
FROM pg_catalog.pg_stat_archiver
""")


class _ArchiveBacklog:
    def read(self, connection: sa.Connection) -> Measured:
        row = connection.execute(_ARCHIVE).one()
        if not row.archives:
            return Measured(None, of="archive_mode is off")
        try:
            waiting = _number(row.current, row.files) - _number(row.archived or "", row.files) - 1
        except ValueError:
            raise UnreachableError(f"the newest archived file is {row.archived or 'none'}.") from None
        return Measured(float(max(waiting, 0)))


def _number(name: str, files: int) -> int:
    """Return the number of the WAL file that the name, or a backup's name, begins with; ValueError for another name."""
    return int(name[8:16], 16) * int(files) + int(name[16:24], 16)


SLOT_LAG = ServerSignal(lambda _: OneRow(_SLOTS, "no logical slot"))
ARCHIVE_BACKLOG = ServerSignal(lambda _: _ArchiveBacklog())
