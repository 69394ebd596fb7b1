"""DELETE … ORDER BY, which MySQL alone has: rows of a table that refer to each other go in an order that it accepts."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class InOrder(sa.ColumnElement[bool]):
    """A true condition that must be a DELETE's last: the rows in the order of these values."""

    inherit_cache = False

    def __init__(self, *values: sa.ColumnElement[Any]) -> None:
        self.values = values


@compiles(InOrder)
def _in_order(element: InOrder, compiler: SQLCompiler, **options: Any) -> str:
    """SQLAlchemy's DELETE has no ORDER BY; it follows the condition."""
    return f"1 = 1 ORDER BY {', '.join(compiler.process(value, **options) for value in element.values)}"
