"""scan: the batches together would read a table many more times than the whole job has to."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.bulk.plan.cost import CHANGED, READ
from batchops.db.facts import FullRead

LARGE = 5_000_000
"""The rows that the batches together may read of one table in any case: seconds on a small machine."""
TIMES = 20
"""Beyond that, the batches may read this many times the rows that one statement would read."""


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if context.route.kind.evaluates_once:
        return
    if context.route.kind.starts_over and context.route.pinned.condition is None:
        return  # the first rows are always among those that match
    batches = _batches(context)
    for read in _in_every_batch(context):
        own = read.table.rpartition(".")[2] == context.table.name
        if own and (context.table.schema, context.table.name) in context.reads.besides:
            continue  # the check own-table reports it
        if read.rows is not None and batches * read.rows <= max(LARGE, TIMES * ((context.table.rows or 0) + read.rows)):
            continue
        size = "" if read.rows is None else f" (about {read.rows:,} rows)"
        yield CheckRefusal(
            f'Each of about {batches:,} batches would read all of "{read.table.removeprefix("public.")}"{size}, by the '
            "server's own plan.",
            _way_out(context, read, own=own),
        )


def _batches(context: CheckContext) -> int:
    """Return how many batches there will be, at the size that was asked for or at the speed of a small machine."""
    rows, event = context.table.rows or context.estimate or 0, context.event
    changed = rows if context.estimate is None else context.estimate
    if context.spec.batch_size is not None:
        return max(1, changed // context.spec.batch_size)
    seconds = rows / READ[event] + changed / CHANGED[event]
    return max(1, round(seconds / context.spec.target_time.total_seconds()))


def _in_every_batch(context: CheckContext) -> list[FullRead]:
    """Return the tables that every batch reads whole: in each statement, or to find the end of its window."""
    facts, connection = context.database.backend.facts, context.connection
    each = [{read.table: read for read in facts.full_reads(connection, probe.explainable)} for probe in context.probes]
    always = [read for name, read in each[0].items() if all(name in other for other in each)] if each else []
    window = context.route.strategy.window(context.route.cursor)
    found = {read.table: read for read in always}
    if window is not None:
        found |= {read.table: read for read in facts.full_reads(connection, window)}
    return list(found.values())


def _way_out(context: CheckContext, read: FullRead, *, own: bool) -> str:
    fewer = "; a larger --batch-size reads it fewer times" if context.spec.batch_size else ""
    if not own:
        name = read.table.rpartition(".")[2]
        aside = (
            f'EXPLAIN shows which index on "{name}" the condition lacks, or copy the keys that it needs into a table '
        )
        lists = context.found.key is not None and context.spec.ledger is None and context.spec.ids is None
        return f"{aside}of their own{', or use --strategy list, which reads it once' if lists else ''}{fewer}"
    if context.route.kind.faster:
        return context.route.kind.faster.format(table=context.table.label)
    keys = ", ".join(context.route.pinned.key) or "…"
    return f"ANALYZE {context.table.label}; see that the index on ({keys}) has the order of its columns' own collation"


CHECK = Check("scan", "the batches together would read a table many times", _look)
