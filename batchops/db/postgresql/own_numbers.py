"""INSERT … SELECT into PostgreSQL with the numbers that rows have, where the database would number them itself."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class InsertWithNumbers(sa.Insert):
    """Takes given values of columns that are GENERATED ALWAYS AS IDENTITY."""

    inherit_cache = False


@compiles(InsertWithNumbers, "postgresql")
def _with_numbers(insert: Any, compiler: Any, **options: Any) -> str:
    text: str = compiler.visit_insert(insert, **options)
    before, into, rows = text.rpartition("INSERT INTO ")  # a user's condition may stand before it
    return before + into + rows.replace(") SELECT", ") OVERRIDING SYSTEM VALUE SELECT", 1)
