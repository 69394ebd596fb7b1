"""INSERT … SELECT that keeps the rows' own numbers in columns which PostgreSQL would number itself."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class InsertWithNumbers(sa.Insert):
    """An INSERT that may set columns which are GENERATED ALWAYS AS IDENTITY."""

    inherit_cache = True


@compiles(InsertWithNumbers, "postgresql")
def _with_numbers(insert: Any, compiler: Any, **options: Any) -> str:
    text: str = compiler.visit_insert(insert, **options)
    before, into, rows = text.rpartition("INSERT INTO ")  # the user's condition may come before it, in a CTE
    return before + into + rows.replace(") SELECT", ") OVERRIDING SYSTEM VALUE SELECT", 1)
