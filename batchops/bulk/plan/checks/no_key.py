"""no-key: nothing names a row, so batches can only take the first rows that match, again and again."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Case, Check, Finding


def _look(case: Case) -> Iterator[Finding]:
    if case.route.frozen.walk != "limit" or case.spec.walk == "limit":
        return
    why = case.found.unusable or "no primary key or unique index without NULLs"
    yield Finding(
        f'Table "{case.table.label}" has {why}, so batches cannot be followed.',
        "add one, or say --walk limit (slower, and slower still beside an old snapshot)",
    )


CHECK = Check("no-key", "no key to follow: each batch begins at the start again", ("purge",), _look)
