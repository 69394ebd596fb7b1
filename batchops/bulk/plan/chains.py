"""The chains of foreign keys that a change triggers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from batchops.db.facts import CASCADE, RESTRICT, Reference, TableFacts
from batchops.db.table import Table, quoted
from batchops.sql.selection import Selection


class Change(Protocol):
    """A job, as far as its foreign keys are concerned."""

    @property
    def event(self) -> str:
        """DELETE or UPDATE."""

    @property
    def table(self) -> Table: ...

    @property
    def facts(self) -> TableFacts: ...

    @property
    def sets(self) -> frozenset[str]:
        """The columns that the job sets."""

    @property
    def selection(self) -> Selection: ...


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
        """Whether the child's rows are deleted or changed."""
        return self.action != RESTRICT

    @property
    def deletes(self) -> bool:
        """Whether the child's rows are deleted."""
        return self.event == "DELETE" and self.action == CASCADE


def links(change: Change) -> Iterator[Link]:
    """Yield every foreign key that the job triggers, nearest first, each once."""
    direct = [r for r in change.facts.references if r.direct]
    waiting = [
        Link(r, change.event, None) for r in direct if change.event == "DELETE" or change.sets.intersection(r.referred)
    ]
    seen: set[tuple[str, str]] = set()
    while waiting:
        link = waiting.pop(0)
        if (link.reference.label, link.event) in seen:
            continue
        seen.add((link.reference.label, link.event))
        yield link
        waiting += _behind(change, link)


def _behind(change: Change, link: Link) -> Iterator[Link]:
    """Yield the foreign keys that the change of the child's rows triggers in turn."""
    if link.action == RESTRICT:
        return
    child = link.reference.child
    for further in change.facts.references:
        if (further.parent.schema, further.parent.name) != (child.schema, child.name):
            continue
        if link.deletes:
            yield Link(further, "DELETE", link)
        elif set(further.referred).intersection(link.reference.columns):
            yield Link(further, "UPDATE", link)


def rows(change: Change, link: Link, columns: tuple[str, ...] = ()) -> sa.Select[object]:
    """Return a SELECT of the child's rows that the job reaches by the link."""
    reference = link.reference
    child = reference.child.clause([*reference.columns, *columns])
    wanted = [child.c[quoted(name)] for name in columns] or [sa.literal_column("1")]
    if link.before is None:
        table = change.table.called
        referred = [table.c[quoted(name)] for name in reference.referred]
        inner = sa.select(*referred).select_from(table).where(change.selection.clause)
    else:
        inner = rows(change, link.before, reference.referred)
    own = [child.c[quoted(name)] for name in reference.columns]
    found: sa.Select[object] = sa.select(*wanted).select_from(child)
    return found.where(own[0].in_(inner) if len(own) == 1 else sa.tuple_(*own).in_(inner))
