"""Does a batch cost the same at the end as at the start, and in a large table as in a small one?"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import Any

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import Database, Open
from tests.benchmarks.sides import SideFailedError, say

SIZES = {
    "postgresql": (1_000_000, 4_000_000, 20_000_000),
    "mariadb": (500_000, 2_000_000),
    "sqlite": (1_000_000, 4_000_000),
}

WALKS = {"postgresql": ("block", "key")}
"""Those beside the one that is taken by default, at the smallest size."""
COLUMNS = ("rows", "strategy", "old snapshot", "first tenth", "last tenth", "last ÷ first", "worst ÷ first", "")

Line = tuple[str, ...]


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print one table for a database, old snapshot open and not; False if a run failed."""
    with opened() as database:
        lines: list[Line] = []
        for size in SIZES[database.name]:
            rows = max(10_000, int(size * wanted.scale))
            say(f"flat: {database.name}, filling {rows:,} rows")
            database.fill(rows)
            strategies = WALKS.get(database.name, ("auto",)) if size == SIZES[database.name][0] else ("auto",)
            lines += [
                _line(database, rows, ("--batch-size", str(wanted.batch_size), "--strategy", strategy), snapshot)
                for strategy in strategies
                for snapshot in ("none", "open")
            ]
        title = f"purge --batch-size {wanted.batch_size}, µs per row read, by tenths of the batches"
        printing.heading(f"flat: {database.version()}, {title}")
        printing.table(COLUMNS, lines)
        return not any(line[-1].startswith("failed") for line in lines)


def _line(database: Database, rows: int, options: tuple[str, ...], snapshot: str) -> Line:
    say(f"flat: {database.name}, {rows:,} rows, {' '.join(options)}, old snapshot {snapshot}")
    database.renew()
    try:
        if snapshot == "none":
            run = tool.purge(database, *options)
        else:
            with snapshot_held(database):
                run = tool.purge(database, *options)
        tenths = costs(run.committed)
    except SideFailedError as error:
        return (f"{rows:,}", "", snapshot, "", "", "", "", f"failed: {error}")
    first, last = tenths[0], tenths[-1]
    figures = (f"{first:.2f}", f"{last:.2f}", f"{last / first:.2f}", f"{max(tenths) / first:.2f}")
    return (f"{rows:,}", run.document["strategy"], snapshot, *figures, f"{len(run.committed)} batches")


def costs(committed: list[dict[str, Any]]) -> list[float]:
    """µs per row read in each tenth of the batches, in order; small batches weigh little."""
    if len(committed) < 10:
        raise SideFailedError(f"{len(committed)} batches are too few to compare: use a larger --scale")
    edges = [len(committed) * tenth // 10 for tenth in range(11)]
    tenths = [committed[start:end] for start, end in pairwise(edges)]
    return [_sum(tenth, "seconds") / _sum(tenth, "read") * 1e6 for tenth in tenths]


def _sum(events: list[dict[str, Any]], field: str) -> float:
    return sum(event[field] for event in events)


@contextmanager
def snapshot_held(database: Database) -> Iterator[None]:
    """An idle transaction elsewhere that still sees the rows as they were."""
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        for sql in database.snapshot:
            cursor.execute(sql)
        cursor.fetchall()
        yield
