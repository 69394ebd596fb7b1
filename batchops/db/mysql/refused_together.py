"""Whether MySQL refuses every row of an UPDATE, in one statement rather than one for each row."""

import sqlalchemy as sa

_REFUSED = {3819, 4025}
"""Numbers of the warnings for a row that a CHECK refuses: MySQL's and MariaDB's."""


def refuses_each(connection: sa.Connection, update: sa.Update, rows: int, *_: object) -> bool:
    """Run the UPDATE with IGNORE, and return whether the only warnings are one for each row, from a CHECK.

    IGNORE leaves out a row that a CHECK refuses; anything else that it ignores has other warnings.
    """
    connection.execute(update.prefix_with("IGNORE"))
    warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
    return len(warnings) == rows and all(code in _REFUSED for _, code, _ in warnings)
