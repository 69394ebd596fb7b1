"""Types of keys and of the columns of batchops' own tables.

A database with its own name for a type defines it with `sqlalchemy.ext.compiler.compiles`.
"""

from typing import Any

import sqlalchemy as sa

KeyValue = tuple[Any, ...]
"""The key of one row: a value for each column, as the driver takes and gives it, to compare and to look up."""


class LongText(sa.Text):
    """Text of any length."""


class Whole(sa.BigInteger):
    """Whole numbers; a primary key of this type may be numbered by the database."""


class KeyText(sa.Text):
    """Text of at most `width` characters for use in a key; texts that differ in case alone are different."""

    def __init__(self, width: int = 200) -> None:
        super().__init__()
        self.width = width


LONG_TEXT, WHOLE, KEY_TEXT = LongText(), Whole(), KeyText()
