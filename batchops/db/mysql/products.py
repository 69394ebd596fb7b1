"""What MySQL 8 and MariaDB need or say differently: all of it here, decided once, by the first connection."""

from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Timeouts
from batchops.db.explain import explained
from batchops.db.faults import driver_error

_REFERRED_TO = (1217, 1451)


class MySQL8:
    """MySQL 8.0 and 8.4."""

    name = "MySQL"
    skip_locked_since = (8, 0)
    explain = "EXPLAIN FORMAT=TRADITIONAL"
    """A row for each table with `filtered`, and the rewritten statement as a note. Without FORMAT, a session's
    explain_format decides (8.0.32)."""
    table_ids = "innodb_tables"
    """The view of information_schema with InnoDB's own table ids."""
    disks: str | None = None
    """The view of information_schema with the server's disks, in a plugin that few have loaded."""
    same_check_table = ""
    """What else tells the checks of two tables apart; here a name is one schema's own."""
    limits_writes = False
    """Whether the server itself ends a DELETE or UPDATE that runs too long."""
    ends_idle_transactions = False
    """Whether the server can tell a session that is idle in a transaction from one that is idle."""

    def settings(self, timeouts: Timeouts) -> dict[str, str]:
        """Session variables beside those that both have."""
        seconds = max(1, round(timeouts.statement))
        return {
            "max_execution_time": str(max(1, round(timeouts.statement * 1000))),
            # A client that was stopped, or whose host is gone, must not keep its rows locked.
            "wait_timeout": str(seconds),
            # A table's rows and bytes would be those of up to a day ago.
            "information_schema_stats_expiry": "0",
        }

    def refused_row(self, connection: sa.Connection, error: BaseException) -> int | None:  # noqa: ARG002
        """Which of the rows that the last statement went through it was refused for, from 1; None where unsaid."""
        return None

    def scalar_within(self, connection: sa.Connection, select: sa.Select[Any], seconds: float) -> Any:
        """The one value of `select`; a timeout where that takes longer."""
        hint = f"/*+ MAX_EXECUTION_TIME({max(1, round(seconds * 1000))}) */"
        return connection.execute(select.prefix_with(hint)).scalar_one()


class MariaDB(MySQL8):
    """MariaDB 10.6 and later."""

    name = "MariaDB"
    skip_locked_since = (10, 6)
    explain = "EXPLAIN EXTENDED"
    table_ids = "innodb_sys_tables"
    disks = "disks"
    same_check_table = "AND c.table_name = t.table_name"  # a check of a column has the column's name in every table
    limits_writes = True
    ends_idle_transactions = True

    def settings(self, timeouts: Timeouts) -> dict[str, str]:
        return {
            "max_statement_time": str(timeouts.statement),
            "idle_transaction_timeout": str(max(1, round(timeouts.statement))),
        }

    def refused_row(self, connection: sa.Connection, error: BaseException) -> int | None:
        # Since 10.7. Rows that refer to others of their list are told apart faster by halves.
        version = connection.dialect.server_version_info
        cause = driver_error(error)
        if version is None or version < (10, 7) or not cause.args or cause.args[0] in _REFERRED_TO:
            return None
        connection.exec_driver_sql("GET DIAGNOSTICS CONDITION 1 @batchops_row = ROW_NUMBER")
        number = connection.exec_driver_sql("SELECT @batchops_row").scalar_one()
        return int(number) if number else None

    def scalar_within(self, connection: sa.Connection, select: sa.Select[Any], seconds: float) -> Any:
        return explained(connection, select, f"SET STATEMENT max_statement_time = {seconds} FOR").scalar_one()


_MYSQL, _MARIADB = MySQL8(), MariaDB()


def product_of(connected: sa.Connection | sa.Engine) -> MySQL8:
    """Which of them answers, as SQLAlchemy has read it from the version when it first connected."""
    return _MARIADB if getattr(connected.dialect, "is_mariadb", False) else _MYSQL
