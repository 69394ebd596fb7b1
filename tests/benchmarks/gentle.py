"""How gently: latencies of pgbench beside one DELETE and beside the tool, while they are really running."""

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from statistics import median

from tests.benchmarks import printing, speed, tool
from tests.benchmarks.databases import DELETE, Database, Open
from tests.benchmarks.pgbench import CLIENTS, RATE, traffic
from tests.benchmarks.sides import SideFailedError, say

Window = tuple[float, float]
"""Start and end of the work, seconds since the epoch."""
Work = Callable[[Database], Window]
QUIET = 5.0
ONE = "one DELETE"
COLUMNS = ("beside", "seconds", "p50 ms", "p99 ms", "worst ms", "p99 ÷ one DELETE's", "")


@dataclass(frozen=True)
class Latencies:
    """Milliseconds of the others' transactions beside one go of a side."""

    p50: float
    p99: float
    worst: float
    transactions: int
    seconds: float


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print one table; False if a side failed."""
    with opened() as database:
        rows = max(10_000, int(database.rows * wanted.scale))
        say(f"gentle: filling {rows:,} rows")
        database.fill(rows)
        sides = {ONE: _delete, "batchops purge": purge}
        return compared(f"gentle: {database.version()}, {rows:,} rows, half match", database, rows, sides, wanted)


def compared(
    title: str, database: Database, rows: int, sides: dict[str, Work], wanted: Namespace,
    renew: Callable[[], None] | None = None,
) -> bool:  # fmt: skip
    """Print a table of the latencies beside nothing and beside each side; ONE is what the others are compared with.

    `rows`: of the table that the others work on.
    """
    works = {"nothing": rest} | sides
    found: dict[str, list[Latencies]] = {name: [] for name in works}
    failures: dict[str, str] = {}
    for number, (name, work) in product(range(wanted.pairs), works.items()):
        say(f"{name}, {number + 1}")
        (renew or database.renew)()
        try:
            found[name].append(beside(database, rows, work))
        except SideFailedError as error:
            failures[name] = str(error)
    printing.heading(f"{title}; pgbench: {RATE} tps, {CLIENTS} clients")
    printing.table(COLUMNS, [_line(name, found, failures) for name in works])
    return not failures


def beside(database: Database, rows: int, work: Work) -> Latencies:
    """The others' transactions while it works."""
    with traffic(database.url, rows) as others:
        start, end = work(database)
    found = others.due_between(start, end)
    if not found:
        raise SideFailedError("it ended before another transaction was due: use a larger --scale")
    p99 = found[int(len(found) * 0.99)]
    return Latencies(median(found), p99, found[-1], len(found), end - start)


def rest(_: Database) -> Window:
    """Nothing for a while."""
    start = time.time()
    time.sleep(QUIET)
    return start, time.time()


def _delete(database: Database) -> Window:
    start = time.time()
    speed.statement(database, DELETE)
    return start, time.time()


def purge(database: Database) -> Window:
    """The tool."""
    # Without the start of the interpreter, in which nobody is disturbed.
    run = tool.purge(database)
    return run.ended - run.document["seconds"], run.ended


def _line(name: str, found: dict[str, list[Latencies]], failures: dict[str, str]) -> tuple[str, ...]:
    goes, deletes = found[name], found[ONE]
    if name in failures or not deletes:
        return (name, "", "", "", "", "", f"failed: {failures.get(name, 'nothing to compare with')}")
    ratio = median(mine.p99 / other.p99 for mine, other in zip(goes, deletes, strict=False))
    figures = (
        f"{median(one.seconds for one in goes):.2f}",
        f"{median(one.p50 for one in goes):.1f}",
        f"{median(one.p99 for one in goes):.1f}",
        f"{median(one.worst for one in goes):.0f}",
        f"{ratio:.3f}",
    )
    return (name, *figures, f"{median(one.transactions for one in goes):.0f} transactions")
