"""cascades: rows of other tables would go or change with those of this one; counted, by table."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.chains import Link, links, rows
from batchops.bulk.plan.checks.context import Case, Check, Finding
from batchops.db.facts import CASCADE, RESTRICT

COUNTED = 4
"""Foreign keys whose rows are counted unasked; each may take a moment."""


def _look(case: Case) -> Iterator[Finding]:
    acting = [link for link in links(case) if link.action != RESTRICT]
    for i, link in enumerate(acting):
        many = _many(case, link, look=case.spec.count or i < COUNTED)
        child, columns = link.reference.child.label, ", ".join(link.reference.columns)
        why = f"ON {link.event} {link.action} by {columns}"
        yield Finding(
            f'The database would also {_effect(link)} {many} of "{child}" ({why}).',
            f'change the rows of "{child}" first, in batches of their own',
        )


def _effect(link: Link) -> str:
    if link.deletes:
        return "delete"
    return "change" if link.action == CASCADE else f"set {', '.join(link.reference.columns)} in"


def _many(case: Case, link: Link, *, look: bool) -> str:
    counted = case.count(rows(case, link)) if look else None
    if counted is not None:
        return f"{counted:,} row" if counted == 1 else f"{counted:,} rows"
    known = link.reference.child.rows
    return "an unknown number of rows" if known is None else f"up to about {known:,} rows"


CHECK = Check("cascades", "would change other tables", ("purge", "backfill"), _look)
