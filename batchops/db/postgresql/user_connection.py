"""How psycopg is spoken to."""

from typing import Any

QUOTE, PLACE = '"', "%s"
# In a column of text bytes would become the text of their digits, without an error.
BINARY = (
    "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = CAST(? AS regclass) AND attname = ?"
    " AND atttypid = CAST('bytea' AS regtype)"
)


def alone(connection: Any) -> bool:
    """Whether the next statement would be a transaction of its own."""
    idle = 0  # TransactionStatus.IDLE
    return bool(connection.autocommit and connection.info.transaction_status == idle)
