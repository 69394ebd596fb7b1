"""How large the next batch is: it follows a target time, or stays as it was fixed."""

from collections import deque
from dataclasses import dataclass
from statistics import linear_regression, median

from batchops.db.byte_limit import MOST_BYTES
from batchops.runtime.batch_size import START_ROWS, Size
from batchops.runtime.plan_flip import PlanFlip

MOST_ROWS = 100_000
READ_PER_ROW = 100
"""A statement reads at most this many rows for each that the batch aims to change."""
READ_ANYHOW = 250_000
"""Rows that one may read where hardly any match, if there is time: reading alone is in nobody's way.

Not where the size of a batch was asked for."""
PLAIN_SHARE = 0.25
"""From this share of matching rows on, a plain range of twice the aim is cheaper than a list of keys."""

FIXED_PLAIN_SHARE = 0.4
"""The same where the aim was asked for, and may be missed by a fifth for that."""

NEARLY_PLAIN = 2.2
"""A window this little over twice the aim is cut to it: the list of keys would cost more than it saves."""

RECENT = 16
"""Batches that tell what a batch of nothing would take."""
DIFFERENT = 1.4
"""How many times the smallest of them the largest must be for that."""
SMALL = 500
"""Rows read and changed below which a batch hardly takes longer for them."""


@dataclass
class Pacing:
    """Follows `target` seconds a batch. `fixed` rows, where given, stay; only what is read for them adapts."""

    target: float = 0.05
    fixed: int | None = None
    row_bytes: float | None = None
    """What a row takes on average in memory or in the log, which bounds a batch by `most_bytes`."""
    most_bytes: int = MOST_BYTES
    start: int = START_ROWS
    """Rows of the first batch."""
    most_rows: int | None = None
    """Rows of a batch whose size was not asked for."""

    def __post_init__(self) -> None:
        self._rows = float(self.fixed or min(self.start, self._ceiling()))
        self._read = float(self._rows)
        self._share: float | None = None
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._overhead = 0.0
        self._cliff = PlanFlip()

    def size(self, skip_locked: bool = False) -> Size:
        """The next batch."""
        rows = max(1, round(self._rows))
        if self.fixed is None and self.most_rows is not None:
            rows = min(rows, self.most_rows)
        read = max(rows, round(self._read))
        if read <= NEARLY_PLAIN * rows:
            read = min(read, 2 * rows)
        return Size(rows=rows, read=read, skip_locked=skip_locked)

    def observe(self, size: Size, rows: int, read: int, seconds: float) -> None:
        """Learn from a batch that was committed: the share that matched, and whether there was time for more.

        `read` may be an estimate (by a table's density), and an estimate may say less than what was changed.
        """
        read = max(read, rows)
        if read > 0:
            share = rows / read
            self._share = share if self._share is None else 0.5 * self._share + 0.5 * share
        self._learn_overhead(read + rows, seconds)
        change = self._change(seconds)
        behind = self._cliff.observe(read, rows, seconds, self.target)
        window_was_the_limit = rows < size.rows / 2
        if not window_was_the_limit:
            self._read = max(self._read, size.read * 2.0)
        else:
            self._read = self._cliff.cheap if behind else self._cliff.within(size.read * change)
        if self.fixed is not None:
            # Shrunk by an error it doubles back to what was asked for.
            self._rows = min(float(self.fixed), max(self._rows, size.rows * 2.0))
        elif not (window_was_the_limit and change > 1):
            wanted = min(max(1.0, size.rows * change), self._ceiling())
            each = read / rows if rows else 1.0
            self._rows = (self._cliff.cheap if behind else self._cliff.within(wanted * each)) / each
        elif size.rows < START_ROWS:
            # Of a batch that has shrunk far down nothing matches: it must be able to read more again.
            self._rows = min(float(START_ROWS), size.rows * change, self._ceiling())
        self._fit()

    def change(self, target: float | None, fixed: int | None) -> None:
        """Another target, or another fixed size, from the next batch on; a `fixed` of None: the size adapts again."""
        self.target = target or self.target
        if fixed is not None and fixed != self.fixed:
            self._rows, self._read = float(fixed), max(self._read, float(fixed))
        self.fixed = fixed
        self._fit()

    def shrink(self) -> None:
        """Halve it, after a timeout or another temporary error."""
        self._rows = max(1.0, self._rows / 2)
        self._read = max(1.0, self._read / 2)

    def _change(self, seconds: float) -> float:
        """Double while far below the target, creep near it, shrink at once above it."""
        # Far from the server the target cannot be kept anyhow: a third of the time at least is to be work.
        ratio = max(self.target, self._overhead / 2) / max(seconds - self._overhead, 1e-6)
        if ratio >= 2:
            return 2.0
        return min(ratio, 1.25) if ratio >= 1 else max(ratio, 0.25)

    def _learn_overhead(self, work: int, seconds: float) -> None:
        """What a batch of nothing would take: round trips to a server far away, turns of a busy one.

        Without this a batch that cannot be shorter than the target would shrink to one row.
        """
        self._recent.append((work, seconds))
        works, times = zip(*self._recent, strict=True)
        if len(works) < 3:
            return
        usual = median(times)
        if max(works) >= DIFFERENT * max(1, min(works)):
            line = linear_regression(works, times)
            self._overhead = min(max(0.0, line.intercept), usual) if line.slope > 0 else usual
        elif max(works) < SMALL:
            self._overhead = usual  # or else rows are slow indeed, which a larger batch shows

    def _fit(self) -> None:
        """Read what the share calls for, but not without bound."""
        share = max(self._share or 0.0, 1e-9)
        wanted = self._rows / share
        if share >= (PLAIN_SHARE if self.fixed is None else FIXED_PLAIN_SHARE):
            wanted = min(wanted, 2 * self._rows)
        anyhow = READ_ANYHOW if self.fixed is None else 0
        self._read = min(wanted, self._read, max(self._rows * READ_PER_ROW, anyhow))

    def _ceiling(self) -> float:
        by_bytes = max(1.0, self.most_bytes / self.row_bytes) if self.row_bytes else MOST_ROWS
        return min(MOST_ROWS, by_bytes, self.most_rows or MOST_ROWS)
