"""The safety checks, one file each; all of them run before anything is written."""

from collections.abc import Iterator

from batchops.bulk.plan.checks import (
    cascades,
    children,
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
from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
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
"""All checks. The name of a new one goes into `bulk.spec.CHECKS` too, in the same order; a test compares them."""


def refusals(context: CheckContext) -> Iterator[Refusal]:
    """Yield what the server, the role and the checks refuse in this job; allowed refusals are marked."""
    yield from context.found.forbidden
    if context.found.graph is not None:
        yield from children.forbidden(context, context.found.graph)
    for name, refusal in _overridable(context):
        allowed = name in context.spec.allow
        hint = refusal.hint if allowed else f"{refusal.hint}, or --allow {name}."
        yield Refusal(name, refusal.message, hint, allowed)


def _overridable(context: CheckContext) -> Iterator[tuple[str, CheckRefusal]]:
    """Yield the names and refusals of checks; with a graph, `children` stands in for the two about references."""
    graph = context.found.graph
    of_graph = [] if graph is None else list(children.overridable(context, graph))
    for check in CHECKS:
        if graph is None or check not in (fk_index.CHECK, cascades.CHECK):
            yield from ((check.name, refusal) for refusal in check.look(context))
        yield from (one for one in of_graph if one[0] == check.name)
