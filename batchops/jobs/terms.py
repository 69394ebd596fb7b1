"""What a spec says of how long and how fast, as the loop wants it; the same for every verb."""

from datetime import datetime

from batchops.allowance import Allowance
from batchops.db.table import Table
from batchops.limits import Limits
from batchops.pace import Pace
from batchops.specs import PacedSpec


def limits_of(spec: PacedSpec, rows: Allowance | None) -> Limits:
    """Its limits; `rows` is what --max-rows leaves, shared by all lanes."""
    return Limits(
        rows=rows,
        seconds=None if spec.max_time is None else spec.max_time.total_seconds(),
        batches=spec.max_batches,
        window=spec.window,
        wall=lambda: datetime.now(spec.time_zone),
    )


def pace_of(spec: PacedSpec, table: Table) -> Pace:
    """Its pace, bounded by the bytes of the table's rows where they are known."""
    return Pace(
        target=spec.target_time.total_seconds(),
        fixed=spec.batch_size,
        row_bytes=table.bytes / table.rows if table.bytes and table.rows else None,
    )
