"""view: what stands behind a view is not plain to see, and nothing names its rows."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Case, Check, Finding


def _look(case: Case) -> Iterator[Finding]:
    """Only where --allow is sound: any other view was refused before anything was planned."""
    if case.table.kind == "view":
        yield Finding(f'"{case.table.label}" is a view, not a table.', f"name the table behind it: {case.facts.base}")


CHECK = Check("view", "a view, not a table", ("purge", "backfill"), _look)
