"""A rough estimate of a run's time and of what it writes to the log, with its basis."""

from dataclasses import dataclass

from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies.strategy import StrategyKind
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.ledger.run import Run
from batchops.runtime.batch_size import START_ROWS

READ = {"DELETE": 3_000_000.0, "UPDATE": 1_500_000.0, "SELECT": 3_000_000.0}
CHANGED = {"DELETE": 600_000.0, "UPDATE": 200_000.0, "SELECT": 600_000.0}
"""Rows a second that a small idle machine reads on the way, and deletes, updates or copies;
the slowest of three databases."""
_TELLING = 10_000
"""How many rows an earlier run must have read for its speed to tell something."""
_ROW_BYTES = 100
"""The bytes of a row about which nothing is known."""
_CAREFUL = 0.25
"""Share of the target time that the first batch would take on the machine of these figures."""
_FIRST_BYTES = 1 << 20
"""The most bytes of all rows of the first batch."""


@dataclass(frozen=True)
class Cost:
    """What a run costs; a field that is None is unknown."""

    seconds: float | None
    seconds_basis: str
    log: str | None
    """WAL, binlog or journal."""
    log_bytes: int | None
    log_basis: str
    row_log: float | None = None
    """Bytes that one row adds to the log, its share of whole pages included."""


def cost(
    event: str, table: Table, facts: TableFacts, kind: StrategyKind, estimate: int | None, last: Run | None,
    spec: BulkSpec, others: int = 0,
) -> Cost:  # fmt: skip
    """Return the cost of a run over `estimate` matching rows, up to its limits. `others`: rows of other tables."""
    read = estimate if kind.reads_matches else table.rows
    most = _most(spec)
    if most is not None and estimate is not None and estimate > most:
        read = None if read is None else round(read * most / estimate)
        estimate, others = most, round(others * most / estimate)
    changed = None if estimate is None else estimate + others
    seconds, basis = _seconds(event, read, changed, last, spec)
    if seconds is not None and spec.max_time is not None and seconds > spec.max_time.total_seconds():
        seconds, basis = spec.max_time.total_seconds(), "--max-time"
    if event == "SELECT":
        return Cost(seconds, basis, None, None, "")
    if facts.log is None or changed is None:
        return Cost(seconds, basis, facts.log.name if facts.log else None, None, "")
    written, log_basis = _log(event, table, facts, changed)
    return Cost(seconds, basis, facts.log.name, written, log_basis, written / changed if changed else None)


MOST_LOG = 32 << 20
"""Bytes that a batch may add to the log: replicas, archives and disks take it in at once."""


def first_rows(event: str, table: Table, facts: TableFacts, target: float) -> int:
    """Return how many rows the first batch has: a short run would lose half of its time to growing from a few rows.

    It still has only a few if triggers or foreign keys do more for each row.
    """
    others = event == "DELETE" and facts.references
    if others or any(trigger.event == event for trigger in facts.triggers):
        return START_ROWS
    row_bytes = table.bytes / table.rows if table.bytes and table.rows else _ROW_BYTES
    rows = min(_CAREFUL * target * CHANGED[event], _FIRST_BYTES / row_bytes)
    return max(START_ROWS, round(rows))


def _most(spec: BulkSpec) -> int | None:
    """Return the most rows that the limits allow; None if they do not tell that."""
    batches = spec.max_batches * spec.batch_size if spec.max_batches and spec.batch_size else None
    return min((most for most in (spec.max_rows, batches) if most is not None), default=None)


def _seconds(
    event: str, read: int | None, changed: int | None, last: Run | None, spec: BulkSpec
) -> tuple[float | None, str]:  # fmt: skip
    if read is None and changed is None:
        return None, "neither the table's rows nor those that match are known"
    read, changed = read or changed or 0, changed or 0
    if last is not None and last.ended_at is not None and last.read >= _TELLING:
        took = max(last.ended_at - last.started_at, 0.001)  # with its pauses
        return read * took / last.read, f"as run {last.run} went: {last.read / took:,.0f} rows read a second"
    seconds, basis = read / READ[event] + changed / CHANGED[event], "guessed for a small idle machine"
    if spec.copied_a_second is not None:
        seconds += changed / spec.copied_a_second
    if not spec.sleep:
        return seconds, basis
    batches = changed / spec.batch_size if spec.batch_size else seconds / spec.target_time.total_seconds()
    return seconds + batches * spec.sleep.total_seconds(), f"{basis}, and the sleep after each batch"


def _log(event: str, table: Table, facts: TableFacts, changed: int) -> tuple[int, str]:
    assert facts.log is not None  # the caller's condition
    kind = facts.log
    row_bytes = table.bytes / table.rows if table.bytes and table.rows else _ROW_BYTES
    times = 2 if event == "UPDATE" else 1
    by_rows = changed * times * (kind.row + kind.share * row_bytes)
    if event == "UPDATE" and kind.page:
        by_rows += changed * row_bytes
    pages = min(changed, (table.bytes or changed * row_bytes) / kind.page) if kind.page else 0
    basis = f"{kind.row + kind.share * row_bytes:,.0f} bytes a row"
    if pages:
        basis += f", and each of {pages:,.0f} pages whole at the most once between two checkpoints"
    return round(by_rows + pages * kind.page), basis
