"""The chains of foreign keys that a change triggers."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.bulk.plan.checks.context import CheckContext
from batchops.db.facts import CASCADE, RESTRICT, Reference
from batchops.db.table import quoted


@dataclass(frozen=True)
class Link:
    """A foreign key that a job reaches: what happens to the parent, and through which other keys."""

    reference: Reference
    event: str
    """DELETE or UPDATE of the parent's rows."""
    before: "Link | None"

    @property
    def action(self) -> str:
        """What happens to the child's rows."""
        return self.reference.action(self.event)

    @property
    def changes(self) -> bool:
        """Whether the child's rows go or are given other values."""
        return self.action != RESTRICT

    @property
    def deletes(self) -> bool:
        """Whether the child's rows go."""
        return self.event == "DELETE" and self.action == CASCADE


def links(context: CheckContext) -> Iterator[Link]:
    """Every foreign key that the job triggers, nearest first, each once."""
    direct = [r for r in context.facts.references if r.direct]
    waiting = [
        Link(r, context.event, None)
        for r in direct
        if context.event == "DELETE" or context.sets.intersection(r.referred)
    ]
    seen: set[tuple[str, str]] = set()
    while waiting:
        link = waiting.pop(0)
        if (link.reference.label, link.event) in seen:
            continue
        seen.add((link.reference.label, link.event))
        yield link
        waiting += _behind(context, link)


def _behind(context: CheckContext, link: Link) -> Iterator[Link]:
    """What the change of the child's rows triggers in turn."""
    if link.action == RESTRICT:
        return
    child = link.reference.child
    for further in context.facts.references:
        if (further.parent.schema, further.parent.name) != (child.schema, child.name):
            continue
        if link.deletes:
            yield Link(further, "DELETE", link)
        elif set(further.referred).intersection(link.reference.columns):
            yield Link(further, "UPDATE", link)


def rows(context: CheckContext, link: Link, columns: tuple[str, ...] = ()) -> sa.Select[object]:
    """The child's rows that the job reaches by that link."""
    reference = link.reference
    child = reference.child.clause([*reference.columns, *columns])
    wanted = [child.c[quoted(name)] for name in columns] or [sa.literal_column("1")]
    if link.before is None:
        table = context.table.called
        referred = [table.c[quoted(name)] for name in reference.referred]
        inner = sa.select(*referred).select_from(table).where(context.selection.clause)
    else:
        inner = rows(context, link.before, reference.referred)
    own = [child.c[quoted(name)] for name in reference.columns]
    found: sa.Select[object] = sa.select(*wanted).select_from(child)
    return found.where(own[0].in_(inner) if len(own) == 1 else sa.tuple_(*own).in_(inner))
