"""DELETE … ORDER BY, which only MySQL has, to delete rows that refer to each other in an order that it accepts."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class InOrder(sa.ColumnElement[bool]):
    """A condition that is always true. As the last one of a DELETE, it sets the order of the rows by these values."""

    inherit_cache = False

    def __init__(self, *values: sa.ColumnElement[Any]) -> None:
        self.values = values


@compiles(InOrder)
def _in_order(element: InOrder, compiler: SQLCompiler, **options: Any) -> str:
    """Return the SQL of the condition followed by ORDER BY, which SQLAlchemy's DELETE does not have."""
    return f"1 = 1 ORDER BY {', '.join(compiler.process(value, **options) for value in element.values)}"
