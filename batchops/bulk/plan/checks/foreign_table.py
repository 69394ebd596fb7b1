"""foreign-table: the rows lie on another server, whose commit is not this one's."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Case, Check, Finding


def _look(case: Case) -> Iterator[Finding]:
    if case.table.kind == "foreign table":
        yield Finding(
            f'"{case.table.label}" is a foreign table: its rows and the cursor would be two commits.',
            "run batchops on the server that the table lies on",
        )
    for name in case.facts.foreign_parts:
        yield Finding(
            f'Partition "{name}" of "{case.table.label}" lies on another server: its rows and the cursor would be '
            "two commits.",
            f"run batchops there, and here on the partitions without {name}",
        )


CHECK = Check("foreign-table", "rows on another server", ("purge", "backfill"), _look)
