"""foreign-table: the rows lie on another server, so that rows and checkpoint cannot be one commit."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if context.table.kind == "foreign table":
        yield CheckRefusal(
            f'"{context.table.label}" is a foreign table: its rows and the checkpoint cannot be one commit.',
            "run batchops on the server that has the table",
        )
    for name in context.facts.foreign_parts:
        yield CheckRefusal(
            f'Partition "{name}" of "{context.table.label}" is on another server: its rows and the checkpoint '
            "cannot be one commit.",
            f"run batchops there, and here on the partitions without {name}",
        )


CHECK = Check("foreign-table", "rows on another server", _look)
