"""The signal `active-sessions` of PostgreSQL: how many sessions, other than batchops' own, run a statement."""

import sqlalchemy as sa

from batchops.db.postgresql.one_row import OURS, OneRow
from batchops.db.postgresql.stats_right import missing_stats_right
from batchops.db.signals import ServerSignal

ACTIVE = sa.text(f"""
SELECT count(*) AS value, '' AS of FROM pg_catalog.pg_stat_activity
WHERE state = 'active' AND backend_type = 'client backend' AND NOT ({OURS})
""")
SIGNAL = ServerSignal(lambda _: OneRow(ACTIVE), missing_stats_right)
