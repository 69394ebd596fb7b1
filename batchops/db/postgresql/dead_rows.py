"""Signals of PostgreSQL about dead rows: what keeps them, how many the table has, whether VACUUM is at work."""

import sqlalchemy as sa

from batchops.db.postgresql.inheritance import OWN
from batchops.db.postgresql.one_row import OURS, OneRow, no_table, oid_of
from batchops.db.postgresql.stats_right import missing_stats_right
from batchops.db.signals import Measured, Scope, ServerSignal

# A snapshot in another database keeps no rows of this one. VACUUM ignores the snapshots of other VACUUMs. The
# catalog_xmin of a slot keeps only rows of the catalog.
_XMIN = sa.text(f"""
SELECT age AS value, of FROM (
    SELECT age(backend_xmin), 'session ' || pid FROM pg_catalog.pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND (datname = pg_catalog.current_database() OR datname IS NULL)
      AND NOT ({OURS}) AND coalesce(backend_type, '') <> 'autovacuum worker'
    UNION ALL
    SELECT age(transaction), 'prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts
    WHERE database = pg_catalog.current_database()
    UNION ALL
    SELECT age(xmin), 'slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE xmin IS NOT NULL
) AS holders (age, of) ORDER BY age DESC LIMIT 1
""")
_DEAD = sa.text(f"""{OWN}
SELECT sum(n_dead_tup) AS value, '' AS of FROM pg_catalog.pg_stat_all_tables JOIN own ON relid = own.oid
""")
_VACUUM = sa.text(f"""{OWN}
SELECT coalesce(a.backend_type, '') = 'autovacuum worker' AS automatic, p.phase,
       CAST(CAST(p.relid AS regclass) AS text) AS name
FROM pg_catalog.pg_stat_progress_vacuum p JOIN own ON p.relid = own.oid
LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) ORDER BY 1 DESC LIMIT 1
""")


class _Vacuum:
    def __init__(self, oid: str | None) -> None:
        self._oid = oid

    def read(self, connection: sa.Connection) -> Measured:
        row = connection.execute(_VACUUM, {"oids": [self._oid]}).one_or_none()
        if row is None:
            return Measured(None, of="none at work on the table")
        return Measured(None, reason=f"{'autovacuum' if row.automatic else 'VACUUM'} of {row.name} ({row.phase})")


XMIN_AGE = ServerSignal(lambda _: OneRow(_XMIN, "no snapshot of another session"))
DEAD_TUPLES = ServerSignal(lambda scope: OneRow(_DEAD, oid=oid_of(scope)), unavailable=no_table)


def _vacuum(scope: Scope) -> _Vacuum:
    return _Vacuum(oid_of(scope))


VACUUM = ServerSignal(_vacuum, missing_stats_right, unavailable=no_table)
