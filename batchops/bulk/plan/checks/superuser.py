"""superuser: code that a role of fewer rights has written would run with all of them."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Case, Check, Finding
from batchops.bulk.plan.checks.triggers import set_off


def _look(case: Case) -> Iterator[Finding]:
    if not case.facts.superuser:
        return
    borrowed = [f'"{t.name}" (of {t.author})' for t in set_off(case) if t.author is not None]
    if case.event == "UPDATE":
        borrowed += case.facts.borrowed
    if borrowed:
        yield Finding(
            f'Role "{case.found.server.role}" is a superuser, and the job would run code of others with its rights: '
            f"{', '.join(borrowed)}.",
            "connect as the table's owner",
        )


CHECK = Check("superuser", "a superuser would run other roles' code", ("purge", "backfill"), _look)
