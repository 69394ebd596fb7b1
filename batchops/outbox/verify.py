"""Verifies, from a table of events, that no event was skipped and no aggregate's events are out of order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.table import count_rows
from batchops.db.value_formats import as_text
from batchops.errors import Exit
from batchops.outbox.event_order import OrderSource
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.outbox import Outbox

NAMED = 10
"""The most events that a violation names."""


@dataclass(frozen=True)
class Violation:
    """The result of one check, which may have found no violation."""

    about: str
    """The check: skipped, inverted or order; "beyond" for what no table can show."""
    exit: int
    """0: proved; 13: violated; 3: cannot be proved."""
    text: str
    events: tuple[str, ...] = ()
    """The ids of the first events that violate it."""
    count: int = 0


_NONE_SKIPPED = "no unsent event lies before a sent one of its aggregate"
_SKIPPED = "are unsent, though a later one of their aggregate was sent"
_NONE_INVERTED = "by the times in the table each aggregate's events were sent in order"
_INVERTED = "were sent before an earlier one of their aggregate, by the times in the table"
_BEYOND = Violation(
    "beyond",
    Exit.DONE,
    "beyond the table: that the destination kept what it acknowledged; that the writer of an event had locked its "
    "aggregate; events that were deleted or moved once they were sent",
)


def findings(connection: sa.Connection, outbox: Outbox, failures: RefusedEvents) -> list[Violation]:
    """Run all checks, and return their results. Nothing is written."""
    found = [_skipped(connection, outbox, failures), _inverted(connection, outbox)]
    if not outbox.order.numbered:
        found.append(_ordered(connection, outbox))
    return [*found, _BEYOND]


def gravest(found: Sequence[Violation]) -> int:
    """Return the exit code of the gravest result: a violation is graver than what cannot be proved."""
    exits = {finding.exit for finding in found}
    return next((code for code in (Exit.INTEGRITY, Exit.INCOMPLETE) if code in exits), Exit.DONE)


def _skipped(connection: sa.Connection, outbox: Outbox, failures: RefusedEvents) -> Violation:
    """Check for unsent events before a sent one of their aggregate. Dead letters do not count."""
    if outbox.sent is None:
        return Violation("skipped", Exit.INCOMPLETE, "the table has no column that tells which events were sent")
    backwards = [column.desc() for column in outbox.ordering]
    sent = sa.case((outbox.sent.sent, 1), else_=0)
    later = sa.func.max(sent).over(partition_by=outbox.aggregate, order_by=backwards, rows=(None, -1))
    waits = sa.case((sa.and_(outbox.unsent, *failures.alive()), 1), else_=0)
    columns = (outbox.id_out.label("event"), later.label("later"), waits.label("waits"))
    seen = sa.select(*columns).select_from(outbox.table.called).subquery("seen")
    passed = sa.select(seen.c.event).where(
        seen.c.later == sa.literal_column("1"), seen.c.waits == sa.literal_column("1")
    )
    return _violated(connection, "skipped", passed, good=_NONE_SKIPPED, bad=_SKIPPED)


def _inverted(connection: sa.Connection, outbox: Outbox) -> Violation:
    """Check for events that were sent before an earlier one of their aggregate, by the times in the table."""
    moment = None if outbox.sent is None else outbox.sent.when
    if outbox.sent is None or moment is None:
        return Violation(
            "inverted", Exit.INCOMPLETE, "cannot be proved: the table does not tell when an event was sent"
        )
    before = sa.func.max(moment).over(partition_by=outbox.aggregate, order_by=outbox.ordering, rows=(None, -1))
    ordered = (
        sa.select(outbox.id_out.label("event"), moment.label("moment"), before.label("before"))
        .select_from(outbox.table.called)
        .where(outbox.sent.sent)
        .subquery("ordered")
    )
    late = sa.select(ordered.c.event).where(ordered.c.before > ordered.c.moment)
    return _violated(connection, "inverted", late, good=_NONE_INVERTED, bad=_INVERTED)


def _ordered(connection: sa.Connection, outbox: Outbox) -> Violation:
    """Check whether events are ordered as they were written, if no number of the database shows it."""
    order = outbox.order
    if not order.kept and order.asked:
        return Violation("order", Exit.DONE, "no order was requested: each event is sent by itself")
    if not order.kept:
        return Violation("order", Exit.INCOMPLETE, "cannot be proved: nothing tells in what order events were written")
    order_columns = ", ".join(order.columns[:-1])
    if order_columns:
        columns = [outbox.aggregate, *outbox.ordering[:-1]]
        ties = sa.select(sa.func.count().label("events")).select_from(outbox.table.called).group_by(*columns)
        tied = ties.having(sa.func.count() > 1).subquery("tied")
        count = int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(tied.c.events), 0))).scalar_one())
        if count:
            text = (
                f"have the same {order_columns} as another of their aggregate: "
                "which of them came first cannot be proved"
            )
            return Violation("order", Exit.INCOMPLETE, text, count=count)
    if order.source is OrderSource.CLOCK:
        return Violation(
            "order", Exit.DONE, f"rests on {order.source}, and no two events of an aggregate have the same"
        )
    return Violation("order", Exit.INCOMPLETE, f"cannot be proved: it rests on {order.source}")


def _violated(connection: sa.Connection, about: str, query: sa.Select[Any], *, good: str, bad: str) -> Violation:
    count = count_rows(connection, query.subquery("listed"))
    if not count:
        return Violation(about, Exit.DONE, good)
    events = tuple(as_text(value) for value in connection.execute(query.limit(NAMED)).scalars())
    return Violation(about, Exit.INTEGRITY, bad, events, count)
