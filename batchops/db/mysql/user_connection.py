"""How PyMySQL is spoken to."""

from typing import Any

QUOTE, PLACE = "`", "%s"
BINARY = ""
_IN_TRANSACTION = 1  # SERVER_STATUS.SERVER_STATUS_IN_TRANS


def alone(connection: Any) -> bool:
    """Whether the next statement would be a transaction of its own."""
    return bool(connection.get_autocommit() and not connection.server_status & _IN_TRANSACTION)
