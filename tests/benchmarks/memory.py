"""Peak resident memory of the tool's process: it should not know how large the table is."""

from argparse import Namespace

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import Database, Open
from tests.benchmarks.sides import SideFailedError, say

VERBS = {"purge": tool.purge, "backfill": tool.backfill}


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print one table for a database: a tenth of its size and its size; False if a run failed."""
    with opened() as database:
        lines: list[tuple[str, str, str, str]] = []
        for share in (0.1, 1):
            rows = max(1000, int(database.rows * share * wanted.scale))
            say(f"memory: {database.name}, {rows:,} rows")
            database.fill(rows)
            lines += [_line(database, rows, verb) for verb in VERBS]
        printing.heading(f"memory: {database.version()}, default pace")
        printing.table(("run", "rows", "peak MB", ""), lines)
        return not any(line[-1].startswith("failed") for line in lines)


def _line(database: Database, rows: int, verb: str) -> tuple[str, str, str, str]:
    database.renew()
    try:
        run = VERBS[verb](database)
    except SideFailedError as error:
        return (verb, f"{rows:,}", "", f"failed: {error}")
    return (verb, f"{rows:,}", f"{run.peak_mb:.0f}", f"{run.document['batches']} batches")
