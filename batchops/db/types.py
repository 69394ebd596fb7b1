"""Column types that a family spells in its own way."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import MEDIUMTEXT

LONG_TEXT = sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
"""MySQL's plain TEXT ends at 64 KiB."""
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only in a column called INTEGER."""
KEY_TEXT = sa.Text().with_variant(sa.String(200, collation="utf8mb4_bin"), "mysql", "mariadb")
"""Text that a key may hold: MySQL's needs a length, and compares without regard to case unless told."""
KeyValue = tuple[Any, ...]
"""One row's key: a value per column as the driver takes and gives it, so that it can be compared and looked up."""
