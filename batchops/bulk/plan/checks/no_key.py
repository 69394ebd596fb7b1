"""no-key: nothing names a row, so batches can only take the first rows that match, again and again."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, Objection


def _look(context: CheckContext) -> Iterator[Objection]:
    if context.route.pinned.strategy != "limit" or context.spec.strategy == "limit":
        return
    why = context.found.unusable or "no primary key or unique index without NULLs"
    yield Objection(
        f'Table "{context.table.label}" has {why}, so batches cannot be followed.',
        "add one, or say --strategy limit (slower, and slower still beside an old snapshot)",
    )


CHECK = Check("no-key", "no key to follow: each batch begins at the start again", ("purge",), _look)
