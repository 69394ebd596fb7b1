"""cascades: rows of other tables would be deleted or changed with those of this one; counted, by table."""

from collections.abc import Iterator

from batchops.bulk.plan.chains import Link, links, rows
from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.facts import CASCADE, RESTRICT

COUNTED = 4
"""How many foreign keys have their rows counted if the user did not ask for it; each may take a moment."""


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    yield from unseen(context)
    acting = [link for link in links(context) if link.action != RESTRICT]
    for i, link in enumerate(acting):
        counted = context.count(rows(context, link)) if context.spec.count or i < COUNTED else None
        if counted == 0:  # rows that come meanwhile are left to the rule that their owner chose
            continue
        many = _many(link, counted)
        child, columns = link.reference.child.label, ", ".join(link.reference.columns)
        why = f"ON {link.event} {link.action} by {columns}"
        yield CheckRefusal(
            f'The database would also {_effect(link)} {many} of "{child}" ({why}){_unarchived(context, link)}.',
            f'{_with_children(context, link)}change the rows of "{child}" first, in separate batches',
        )


def unseen(context: CheckContext) -> Iterator[CheckRefusal]:
    """Yield refusals for foreign keys that the role does not see: it can neither count nor change their rows."""
    for child, parent in context.found.unseen.acting:
        lost = ", and the archive would not have them" if context.verb.removed != "delete" else ""
        yield CheckRefusal(
            f'The database would also delete or change rows of "{child}", which this role may not see: its foreign key '
            f'to "{parent}" has ON DELETE CASCADE or SET NULL{lost}.',
            f'GRANT SELECT on "{child}" shows which',
        )


def _with_children(context: CheckContext, link: Link) -> str:
    able = context.spec.offers_children and link.event == "DELETE"
    return "--with-children does that first, in small transactions; or " if able else ""


def _unarchived(context: CheckContext, link: Link) -> str:
    return ", and the archive would not have them" if link.deletes and context.verb.removed != "delete" else ""


def _effect(link: Link) -> str:
    if link.deletes:
        return "delete"
    return "change" if link.action == CASCADE else f"set {', '.join(link.reference.columns)} in"


def _many(link: Link, counted: int | None) -> str:
    if counted is not None:
        return f"{counted:,} row" if counted == 1 else f"{counted:,} rows"
    known = link.reference.child.rows
    return "an unknown number of rows" if known is None else f"up to about {known:,} rows"


CHECK = Check("cascades", "would change other tables", _look)
