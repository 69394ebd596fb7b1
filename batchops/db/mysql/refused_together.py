"""Whether MySQL refuses every row of an UPDATE, in one statement rather than one for each row."""

import sqlalchemy as sa

_REFUSED = {3819, 4025}
"""A CHECK's refusal as a warning: MySQL's, MariaDB's."""


def refuses_each(connection: sa.Connection, update: sa.Update, rows: int, *_: object) -> bool:
    """IGNORE leaves out a row that a CHECK refuses, with one warning; what else it lets pass has other warnings."""
    connection.execute(update.prefix_with("IGNORE"))
    told = connection.exec_driver_sql("SHOW WARNINGS").all()
    return len(told) == rows and all(code in _REFUSED for _, code, _ in told)
