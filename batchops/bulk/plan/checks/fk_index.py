"""fk-index: another table refers here without an index, so that each row deleted reads it whole."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.bulk.plan.chains import links
from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.facts import OtherTable, Reference
from batchops.db.table import quoted
from batchops.sql.selection import user_sql

SMALL = 1_000
"""A child table with no more rows is read as quickly as an index."""


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    for link in links(context):
        reference = link.reference
        if not slow(context, reference):
            continue
        quote = context.database.engine.dialect.identifier_preparer.quote
        columns = ", ".join(quote(name) for name in reference.columns)
        place = ".".join(quote(part) for part in (reference.child.schema, reference.child.name) if part)
        yield CheckRefusal(
            f'"{reference.child.label}" refers to "{reference.parent.label}" by {", ".join(reference.columns)} without '
            f"an index: for each row that is {_done(link.event)} the database would scan the whole table.",
            f"{context.database.backend.facts.new_index} ON {place} ({columns})",
        )


def slow(context: CheckContext, reference: Reference, condition: str | None = None) -> bool:
    """Whether the child is large, and no index finds those of its rows that refer to a parent and match."""
    return not (
        reference.indexed
        or _small(context, reference.child)
        or _found_by_index(context, reference, sa.true() if condition is None else user_sql(f"({condition})"))
    )


def _found_by_index(
    context: CheckContext, reference: Reference, condition: sa.ColumnElement[bool] | sa.TextClause
) -> bool:  # fmt: skip
    """Whether the server itself looks a parent's rows up by an index: a partial one, or one of some columns."""
    child = reference.child.clause(reference.columns)
    parent = reference.parent.clause(reference.referred)
    pairs = zip(reference.columns, reference.referred, strict=True)
    same = [
        child.c[quoted(own)] == sa.select(parent.c[quoted(other)]).limit(1).scalar_subquery() for own, other in pairs
    ]
    lookup: sa.Select[object] = sa.select(sa.literal_column("1")).select_from(child).where(*same, condition)
    reads = context.database.backend.facts.full_reads(context.connection, lookup)
    return all(read.table.rpartition(".")[2] != reference.child.name for read in reads)


def _small(context: CheckContext, child: OtherTable) -> bool:
    """Whether the child is small: its first rows are counted; if this role may not read them, the statistics decide."""
    some: sa.Select[object] = sa.select(sa.literal_column("1")).select_from(child.clause(())).limit(SMALL + 1)
    counted = context.count(some)
    known = child.rows if counted is None else counted
    return known is not None and known <= SMALL


def _done(event: str) -> str:
    return "deleted" if event == "DELETE" else "changed"


CHECK = Check("fk-index", "a child table refers here without an index", _look)
