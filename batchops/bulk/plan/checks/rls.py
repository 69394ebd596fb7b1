"""rls: a row-level security policy hides rows from this role, so that a run would end with work left."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if context.facts.hides_rows:
        yield CheckRefusal(
            f'Row-level security on "{context.table.label}" hides rows from role "{context.found.server.role}": '
            "those would stay, and no message would tell.",
            "connect as a role with BYPASSRLS, or as the owner where it is not forced",
        )


CHECK = Check("rls", "row-level security hides rows", _look)
