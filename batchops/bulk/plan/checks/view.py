"""view: it is not obvious which tables are behind a view, and nothing identifies its rows."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    """Refuse a view for which --allow is sound; any other view was refused before anything was planned."""
    if context.table.kind == "view":
        yield CheckRefusal(
            f'"{context.table.label}" is a view, not a table.', f"name the table behind it: {context.facts.base}"
        )


CHECK = Check("view", "a view, not a table", _look)
