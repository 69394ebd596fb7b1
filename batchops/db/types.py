"""Types of keys and of the columns of batchops' own tables.

A database that spells one in its own way says so with `sqlalchemy.ext.compiler.compiles`.
"""

from typing import Any

import sqlalchemy as sa

KeyValue = tuple[Any, ...]
"""One row's key: a value per column as the driver takes and gives it, so that it can be compared and looked up."""


class LongText(sa.Text):
    """Text of any length."""


class Whole(sa.BigInteger):
    """Whole numbers by which a table may number its rows itself."""


class KeyText(sa.Text):
    """Text of at most `width` characters that a key may hold; another for each other text, in upper or lower case."""

    def __init__(self, width: int = 200) -> None:
        super().__init__()
        self.width = width


LONG_TEXT, WHOLE, KEY_TEXT = LongText(), Whole(), KeyText()
