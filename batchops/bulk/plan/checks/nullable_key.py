"""nullable-key: rows without a value in the key are not met by a walk along it."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.bulk.plan.checks.context import Case, Check, Finding
from batchops.db.table import quoted


def _look(case: Case) -> Iterator[Finding]:
    key = case.found.key
    if key is None or key not in case.facts.nullable_keys:
        return
    names = [name for name in key.columns if case.table.column(name).nullable]
    table = case.table.called
    without = sa.or_(*(table.c[quoted(name)].is_(None) for name in names))
    rows: sa.Select[object] = sa.select(sa.literal_column("1")).select_from(table).where(without)
    # The frozen predicate leaves them out already; asked without it, this is all such rows.
    counted = case.count(rows)
    many = "some rows" if counted is None else f"{counted:,} {'row' if counted == 1 else 'rows'}"
    yield Finding(
        f"The key ({', '.join(key.columns)}) may be NULL: {many} without a value there would be left out.",
        "follow a key without NULLs, or ALTER it to NOT NULL",
    )


CHECK = Check("nullable-key", "rows without a key are left out", ("purge", "backfill"), _look)
