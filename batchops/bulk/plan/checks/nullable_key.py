"""nullable-key: rows without a value in the key are not found by a strategy that follows it."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.table import quoted


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    key = context.found.key
    if key is None or key not in context.facts.nullable_keys:
        return
    names = [name for name in key.columns if context.table.column(name).nullable]
    table = context.table.called
    without = sa.or_(*(table.c[quoted(name)].is_(None) for name in names))
    rows: sa.Select[object] = sa.select(sa.literal_column("1")).select_from(table).where(without)
    # The pinned condition leaves these rows out already, so they are counted without it.
    counted = context.count(rows)
    many = "some rows" if counted is None else f"{counted:,} {'row' if counted == 1 else 'rows'}"
    yield CheckRefusal(
        f"The key ({', '.join(key.columns)}) may be NULL: {many} without a value there would be skipped.",
        "use a --key without NULLs, or ALTER it to NOT NULL",
    )


CHECK = Check("nullable-key", "rows without a key are skipped", _look)
