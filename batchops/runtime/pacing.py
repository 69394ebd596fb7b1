"""Pacing: how large the next batch is; the size follows a target time, or is fixed."""

from collections import deque
from dataclasses import dataclass
from statistics import linear_regression, median

from batchops.db.byte_limit import MOST_BYTES
from batchops.runtime.batch_size import START_ROWS, Size
from batchops.runtime.plan_flip import PlanFlip

MOST_ROWS = 100_000
READ_PER_ROW = 100
"""A statement reads at most this many rows for each row that the batch aims to change."""
READ_ANYHOW = 250_000
"""Rows that a statement may read where hardly any match, if there is time: reading alone blocks nobody.

Not where the user fixed the batch size."""
PLAIN_SHARE = 0.25
"""At this share of matching rows or more, a plain range of twice the aim is cheaper than a list of keys."""

FIXED_PLAIN_SHARE = 0.4
"""The same share where the user fixed the batch size; a plain range may then miss it by a fifth."""

NEARLY_PLAIN = 2.2
"""A window of up to this many times the aim is cut to twice the aim: a list of keys would cost more than it saves."""

RECENT = 16
"""How many of the last batches tell how long an empty batch would take."""
DIFFERENT = 1.4
"""The largest of these batches must be this many times the smallest to tell that."""
MOST_TOGETHER = 10_000
"""The most rows of a batch for rows that refer to each other in a circle, and can only be changed together.

If the user fixed the batch size, it is that one, while errors make batches smaller."""
SMALL = 500
"""Below this many rows read and changed, a batch hardly takes longer for its rows."""


@dataclass
class Pacing:
    """Adapts the batch size so that a batch takes `target` seconds; with `fixed` rows, only the rows read adapt."""

    target: float = 0.05
    fixed: int | None = None
    row_bytes: float | None = None
    """The average bytes of a row in memory or in the log; with `most_bytes` it bounds a batch."""
    most_bytes: int = MOST_BYTES
    start: int = START_ROWS
    """The rows of the first batch."""
    most_rows: int | None = None
    """The most rows of a batch whose size the user did not fix."""

    def __post_init__(self) -> None:
        self._rows = float(self.fixed or min(self.start, self._ceiling()))
        self._read = float(self._rows)
        self._share: float | None = None
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._overhead = 0.0
        self._plan_flip = PlanFlip()

    def size(self, skip_locked: bool = False, *, larger: bool = False) -> Size:
        """Return the size of the next batch; `larger`: for rows that must go together and did not fit."""
        rows = max(1, round(self._rows))
        if self.fixed is None and self.most_rows is not None:
            rows = min(rows, self.most_rows)
        read = max(rows, round(self._read))
        if read <= NEARLY_PLAIN * rows:
            read = min(read, 2 * rows)
        most = self.fixed or round(min(self._ceiling(), MOST_TOGETHER))
        together = most if rows < most and not larger else None
        if larger:
            rows, read = max(rows, most), max(read, most)
        return Size(rows=rows, read=read, together=together, larger=larger, skip_locked=skip_locked)

    def observe(self, size: Size, rows: int, read: int, seconds: float) -> None:
        """Learn from a batch that was committed: the share that matched, and whether there was time for more.

        `read` may be an estimate (by a table's density), and an estimate may be less than the rows changed.
        """
        read = max(read, rows)
        if read > 0:
            share = rows / read
            self._share = share if self._share is None else 0.5 * self._share + 0.5 * share
        self._learn_overhead(read + rows, seconds)
        change = self._change(seconds)
        behind = self._plan_flip.observe(read, rows, seconds, self.target)
        window_was_the_limit = rows < size.rows / 2
        if not window_was_the_limit:
            self._read = max(self._read, size.read * 2.0)
        else:
            self._read = self._plan_flip.cheap if behind else self._plan_flip.within(size.read * change)
        if self.fixed is not None:
            # A size that an error has shrunk doubles until it is the fixed size again.
            self._rows = min(float(self.fixed), max(self._rows, size.rows * 2.0))
        elif not (window_was_the_limit and change > 1):
            wanted = min(max(1.0, size.rows * change), self._ceiling())
            each = read / rows if rows else 1.0
            self._rows = (self._plan_flip.cheap if behind else self._plan_flip.within(wanted * each)) / each
        elif size.rows < START_ROWS:
            # In a batch that has shrunk far nothing matches: it must be allowed to read more again.
            self._rows = min(float(START_ROWS), size.rows * change, self._ceiling())
        self._limit_read()

    def change(self, target: float | None, fixed: int | None) -> None:
        """Set another target or fixed size from the next batch on; with a `fixed` of None the size adapts again."""
        self.target = target or self.target
        if fixed is not None and fixed != self.fixed:
            self._rows, self._read = float(fixed), max(self._read, float(fixed))
        self.fixed = fixed
        self._limit_read()

    def shrink(self) -> None:
        """Halve the batch size, after a timeout or another temporary error."""
        self._rows = max(1.0, self._rows / 2)
        self._read = max(1.0, self._read / 2)

    def _change(self, seconds: float) -> float:
        """Return the factor for the size: 2 far below the target, little above 1 near it, below 1 over it."""
        # Far from the server the target cannot be met anyway: at least a third of the time should be work.
        ratio = max(self.target, self._overhead / 2) / max(seconds - self._overhead, 1e-6)
        if ratio >= 2:
            return 2.0
        return min(ratio, 1.25) if ratio >= 1 else max(ratio, 0.25)

    def _learn_overhead(self, work: int, seconds: float) -> None:
        """Estimate how long an empty batch would take: round trips to a distant server, waiting for a busy one.

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
            self._overhead = usual  # if rows are slow instead, a larger batch will show it

    def _limit_read(self) -> None:
        """Set the rows to read to what the share of matching rows calls for, within bounds."""
        share = max(self._share or 0.0, 1e-9)
        wanted = self._rows / share
        if share >= (PLAIN_SHARE if self.fixed is None else FIXED_PLAIN_SHARE):
            wanted = min(wanted, 2 * self._rows)
        anyhow = READ_ANYHOW if self.fixed is None else 0
        self._read = min(wanted, self._read, max(self._rows * READ_PER_ROW, anyhow))

    def _ceiling(self) -> float:
        by_bytes = max(1.0, self.most_bytes / self.row_bytes) if self.row_bytes else MOST_ROWS
        return min(MOST_ROWS, by_bytes, self.most_rows or MOST_ROWS)
