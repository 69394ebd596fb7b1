"""The safety checks, one file each; all of them look before anything is written."""

from collections.abc import Iterator

from batchops.bulk.plan.checks import (
    cascades,
    fk_index,
    foreign_table,
    list_size,
    no_key,
    nullable_key,
    own_table,
    rls,
    scan,
    superuser,
    triggers,
    view,
)
from batchops.bulk.plan.checks.context import Check, CheckContext
from batchops.runtime.refusal import Refusal

CHECKS: tuple[Check, ...] = (
    no_key.CHECK,
    own_table.CHECK,
    list_size.CHECK,
    scan.CHECK,
    fk_index.CHECK,
    cascades.CHECK,
    triggers.CHECK,
    rls.CHECK,
    nullable_key.CHECK,
    view.CHECK,
    foreign_table.CHECK,
    superuser.CHECK,
)
"""The name of a new one goes into `bulk.spec.CHECKS` too, in the same order; a test compares them."""


def refusals(context: CheckContext) -> Iterator[Refusal]:
    """What the server, the role and the checks refuse in this job; allowed refusals are marked."""
    yield from context.found.forbidden
    if context.found.graph is not None:
        yield Refusal("children", "A purge with children cannot run yet.", "use --dry-run to see its plan.")
    for check in CHECKS:
        if context.found.graph is not None and check in (fk_index.CHECK, cascades.CHECK):
            continue  # the graph says what happens along each reference
        allowed = check.name in context.spec.allow
        for refusal in check.look(context):
            hint = refusal.hint if allowed else f"{refusal.hint}, or --allow {check.name}."
            yield Refusal(check.name, refusal.message, hint, allowed)
