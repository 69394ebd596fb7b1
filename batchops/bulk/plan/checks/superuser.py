"""superuser: code that a role with fewer rights has written would run with all rights."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.bulk.plan.checks.triggers import set_off


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if not context.facts.superuser:
        return
    borrowed = [f'"{t.name}" (of {t.author})' for t in set_off(context) if t.author is not None]
    if context.event == "UPDATE":
        borrowed += context.facts.borrowed
    if borrowed:
        yield CheckRefusal(
            f'Role "{context.found.server.role}" is a superuser, and the job would run code of other roles with its '
            "rights: "
            f"{', '.join(borrowed)}.",
            "connect as the table's owner",
        )


CHECK = Check("superuser", "a superuser would run other roles' code", _look)
