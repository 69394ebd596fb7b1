"""rls: a row-level security policy hides rows from this role, so that a run would end with work left."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if context.facts.hides_rows:
        yield hidden(context.table.label, context.found.server.role)


def hidden(table: str, role: str) -> CheckRefusal:
    """Return the refusal for a table with hidden rows."""
    return CheckRefusal(
        f'Row-level security on "{table}" hides rows from role "{role}": those would stay, and no message would tell.',
        "connect as a role with BYPASSRLS, or as the owner where it is not forced",
    )


CHECK = Check("rls", "row-level security hides rows", _look)
