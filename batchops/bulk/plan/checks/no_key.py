"""no-key: no key identifies a row, so batches can only take the first rows that match, again and again."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    kind = context.route.kind
    if not kind.starts_over or context.spec.strategy == kind.name:
        return
    why = context.found.unusable or "no primary key or unique index without NULLs"
    yield CheckRefusal(
        f'Table "{context.table.label}" has {why}, so batches cannot be followed.',
        f"add one, or use --strategy {kind.name} (slower, and slower still beside an old snapshot)",
    )


CHECK = Check("no-key", "no key to follow: each batch starts from the beginning", _look)
