"""scan: the batches together would read a table many more times than the whole job has to."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.bulk.plan.checks.context import Case, Check, Finding
from batchops.bulk.plan.cost import CHANGED, READ
from batchops.db.facts import FullRead
from batchops.runtime.batch_size import START_ROWS

LARGE = 5_000_000
"""Rows up to which the batches together may read of one table: seconds on a small machine."""
TIMES = 20
"""How many times the rows that one statement would read they may read beyond that."""


def _look(case: Case) -> Iterator[Finding]:
    frozen = case.route.frozen
    if frozen.walk == "limit" and frozen.predicate is None:
        return  # the first rows are always among those that match
    batches = _batches(case)
    for read in _in_every_batch(case):
        own = read.table.rpartition(".")[2] == case.table.name
        if own and (case.table.schema, case.table.name) in case.read_besides:
            continue  # the check of that name speaks of it
        if read.rows is not None and batches * read.rows <= max(LARGE, TIMES * ((case.table.rows or 0) + read.rows)):
            continue
        size = "" if read.rows is None else f" (about {read.rows:,} rows)"
        yield Finding(
            f'Each of about {batches:,} batches would read all of "{read.table.removeprefix("public.")}"{size}, by the '
            "server's own plan.",
            _way_out(case, read, own=own),
        )


def _batches(case: Case) -> int:
    """How many there will be, at the size that was asked for or at the speed of a small machine."""
    rows, event = case.table.rows or case.estimate or 0, case.event
    changed = rows if case.estimate is None else case.estimate
    if case.spec.batch_size is not None:
        return max(1, changed // case.spec.batch_size)
    seconds = rows / READ[event] + changed / CHANGED[event]
    return max(1, round(seconds / case.spec.target_time.total_seconds()))


def _in_every_batch(case: Case) -> list[FullRead]:
    """What every statement of the walk reads whole, wherever it stands; and what finds the end of its window."""
    facts, connection = case.database.family.facts, case.connection
    each = [{read.table: read for read in facts.full_reads(connection, probe.explainable)} for probe in case.probes]
    always = [read for name, read in each[0].items() if all(name in other for other in each)] if each else []
    window = _window(case)
    found = {read.table: read for read in always}
    if window is not None:
        found |= {read.table: read for read in facts.full_reads(connection, window)}
    return list(found.values())


def _window(case: Case) -> sa.Select[object] | None:
    """The query that finds the end of a window behind some key; None where the walk has none such."""
    frozen, family, table = case.route.frozen, case.database.family, case.table
    if frozen.walk != "keys" or frozen.leaves or case.route.cursor.over:
        return None
    upto = case.route.cursor.ranges[0].upto
    if upto is None:
        return None
    keys: sa.Select[object] = sa.select(*(family.key_out(table, name) for name in frozen.key)).select_from(table.called)
    ordered = keys.where(family.upto(table, frozen.key, upto))
    return ordered.order_by(*(family.key_order(table, name) for name in frozen.key)).offset(START_ROWS - 1).limit(1)


def _way_out(case: Case, read: FullRead, *, own: bool) -> str:
    fewer = " a larger --batch-size reads it fewer times" if case.spec.batch_size else ""
    if not own:
        name = read.table.rpartition(".")[2]
        return f'see by EXPLAIN which index in "{name}" the condition lacks, or copy the keys that it needs into a ' + (
            f"table of their own;{fewer}" if fewer else "table of their own"
        )
    if case.route.frozen.walk == "limit":
        return f"add a key, or CREATE INDEX ON {case.table.label} (…) for the condition"
    keys = ", ".join(case.route.frozen.key) or "…"
    return f"ANALYZE {case.table.label}; see that the index on ({keys}) has the order of its columns' own collation"


CHECK = Check("scan", "the batches together would read a table many times", ("purge", "backfill"), _look)
