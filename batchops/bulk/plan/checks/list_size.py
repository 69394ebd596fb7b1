"""list-size: the list of the rows to change would take much disk."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.bulk.plan.list_bytes import list_bytes, most_bytes
from batchops.reporters.figures import rough

WAY_OUT = "narrow the condition to fewer rows, and run it again for the others"


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    pinned = context.route.pinned
    if not context.route.kind.evaluates_once or pinned.row_list is not None:
        return
    rows = context.table.rows if context.estimate is None else context.estimate
    size, most = list_bytes(pinned, rows or 0), most_bytes(context.facts.free_bytes)
    if size > most:
        yield CheckRefusal(list_too_large(rows or 0, size, most), WAY_OUT)


def list_too_large(rows: int, size: int, most: int) -> str:
    """Return the message for a list that takes more space than it may."""
    return f"The list of {rows:,} rows takes about {rough(size)}B of disk; it may take {rough(most)}B."


CHECK = Check("list-size", "the list of rows would take much disk", _look)
