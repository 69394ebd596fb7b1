"""scan: each batch would read the table, or another one, from end to end."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.db.facts import FullRead
from batchops.plan.checks.case import Case, Check, Finding
from batchops.walks.part import START_ROWS

LARGE = 20_000
"""Rows up to which reading a table whole may well be the best plan for a batch."""


def _look(case: Case) -> Iterator[Finding]:
    frozen = case.route.frozen
    if frozen.walk == "limit" and frozen.predicate is None:
        return  # the first rows are always among those that match
    for read in _in_every_batch(case):
        if read.rows is not None and read.rows <= LARGE:
            continue
        size = "" if read.rows is None else f" (about {read.rows:,} rows)"
        yield Finding(
            f'Each batch would read all of "{read.table.removeprefix("public.")}"{size}, by the server\'s own plan.',
            _way_out(case, read),
        )


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


def _way_out(case: Case, read: FullRead) -> str:
    name = read.table.rpartition(".")[2]
    if name != case.table.name:
        return f'add an index by which the condition finds its rows in "{name}", or list them in a smaller table'
    if case.route.frozen.walk == "limit":
        return f"add a key, or CREATE INDEX ON {case.table.label} (…) for the condition"
    keys = ", ".join(case.route.frozen.key) or "…"
    return f"ANALYZE {case.table.label}; see that the index on ({keys}) has the order of its columns' own collation"


CHECK = Check("scan", "each batch would read a whole table", ("purge", "backfill"), _look)
