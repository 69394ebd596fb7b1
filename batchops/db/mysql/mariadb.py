"""MariaDB's capabilities: those of MySQL, with the differences that are in this file."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.catalog import Catalog
from batchops.db.claims import ClaimQueries
from batchops.db.column_contents import Contents
from batchops.db.facts import Facts
from batchops.db.faults import Faults, RefusedRow, driver_error
from batchops.db.foreign_keys import ForeignKeys
from batchops.db.mysql import server_health
from batchops.db.mysql.backend import MySQL
from batchops.db.mysql.catalog import MySQLCatalog
from batchops.db.mysql.claims import MySQLClaims
from batchops.db.mysql.column_contents import MySQLContents
from batchops.db.mysql.facts import MySQLFacts
from batchops.db.mysql.faults import MySQLFaults
from batchops.db.mysql.foreign_keys import MySQLForeignKeys
from batchops.db.mysql.planner import MySQLPlanner
from batchops.db.mysql.row_lines import MariaDBRowLines
from batchops.db.mysql.sessions import MySQLSessions, set_in_each_session
from batchops.db.mysql.signals import MARIADB
from batchops.db.planner import Planner, prefixed
from batchops.db.row_lines import RowLines
from batchops.db.sessions import Sessions, Timeouts
from batchops.db.signals import ServerSignal
from batchops.db.table import Table
from batchops.db.types import KeyValue

_REFERRED_TO = (1217, 1451)


class MariaDBSessions(MySQLSessions):
    """Lets the server itself end statements that run too long, and sessions that are idle in a transaction."""

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:
        settings = {
            "max_statement_time": str(timeouts.statement),
            "idle_transaction_timeout": str(max(1, round(timeouts.statement))),
        }
        set_in_each_session(engine, timeouts, settings)


class MariaDBCatalog(MySQLCatalog):
    """Reads InnoDB's table ids from a view that has another name than in MySQL."""

    product = "MariaDB"
    table_ids = "innodb_sys_tables"


class MariaDBForeignKeys(MySQLForeignKeys):
    """InnoDB's view of them has another name."""

    innodb_keys = "innodb_sys_foreign"


class MariaDBClaims(MySQLClaims):
    """Knows which versions of MariaDB have SKIP LOCKED."""

    product = "MariaDB"
    skip_locked_since = (10, 6)


class MariaDBContents(MySQLContents):
    """Also compares the tables of checks, as a column's check is named like the column, in every table."""

    same_check_table = "AND c.table_name = t.table_name"


class MariaDBPlanner(MySQLPlanner):
    """Uses EXPLAIN EXTENDED: MariaDB has no FORMAT that shows `filtered`."""

    prefix = "EXPLAIN EXTENDED"


class MariaDBFacts(MySQLFacts):
    """Sets a time limit before the statement, and asks the plugin DISKS for free space."""

    def scalar_within(self, connection: sa.Connection, select: sa.Select[Any], seconds: float) -> Any:
        return prefixed(connection, select, f"SET STATEMENT max_statement_time = {seconds} FOR").scalar_one()

    def free_bytes(self, connection: sa.Connection) -> int | None:
        return server_health.free_bytes(connection)


class MariaDBFaults(MySQLFaults):
    """Finds a refused row: since 10.7 MariaDB tells how many rows came before it."""

    def refused_row(
        self, connection: sa.Connection, error: BaseException, table: Table, names: Sequence[str],  # noqa: ARG002
        keys: Sequence[KeyValue],
    ) -> RefusedRow | None:  # fmt: skip
        # For rows that refer to others of the list, halving the list finds the refused ones faster.
        version = connection.dialect.server_version_info
        cause = driver_error(error)
        if version is None or version < (10, 7) or not cause.args or cause.args[0] in _REFERRED_TO:
            return None
        connection.exec_driver_sql("GET DIAGNOSTICS CONDITION 1 @batchops_row = ROW_NUMBER")
        number = int(connection.exec_driver_sql("SELECT @batchops_row").scalar_one() or 0)
        return RefusedRow(number - 1, certain=False) if 0 < number <= len(keys) else None


class MariaDB(MySQL):
    """MariaDB 10.6 and later, through PyMySQL."""

    catalog: Catalog = MariaDBCatalog()
    planner: Planner = MariaDBPlanner()
    facts: Facts = MariaDBFacts(MariaDBPlanner())
    contents: Contents = MariaDBContents()
    foreign_keys: ForeignKeys = MariaDBForeignKeys()
    faults: Faults = MariaDBFaults()
    row_lines: RowLines = MariaDBRowLines()
    claims: ClaimQueries = MariaDBClaims()
    signals: Mapping[str, ServerSignal] = MARIADB

    def __init__(self) -> None:
        self.sessions: Sessions = MariaDBSessions()
