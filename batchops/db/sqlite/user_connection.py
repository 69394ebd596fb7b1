"""How sqlite3 is spoken to."""

from typing import Any

QUOTE, PLACE = '"', "?"
BINARY = ""


def alone(connection: Any) -> bool:
    """Whether the next statement would be a transaction of its own; in its older mode sqlite3 begins one by itself."""
    return connection.isolation_level is None and not connection.in_transaction and not _begins(connection)


def _begins(connection: Any) -> bool:
    """Python 3.12's autocommit=False: there is always a transaction."""
    return getattr(connection, "autocommit", None) is False
