"""The signals of a MariaDB or MySQL server, by name."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.faults import Fault, driver_error
from batchops.db.mysql import flow_control, host, replica_lag
from batchops.db.mysql.faults import classify
from batchops.db.mysql.rights import account
from batchops.db.mysql.threads import ThreadsRunning
from batchops.db.own_commits import COMMIT_LATENCY
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import UnreachableError

_HISTORY = sa.text("SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'")
_WAITING_MARIADB = sa.text("""
SELECT timestampdiff(MICROSECOND, waits.trx_wait_started, now(6)) / 1e6 AS value, waits.trx_mysql_thread_id AS session
FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx waits ON waits.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx holds ON holds.trx_id = w.blocking_trx_id
WHERE holds.trx_mysql_thread_id IN :own AND waits.trx_mysql_thread_id NOT IN :own
ORDER BY 1 DESC LIMIT 1
""").bindparams(sa.bindparam("own", expanding=True))


# In performance_schema, threads have other numbers than the connections that they serve.
_WAITING_MYSQL = sa.text("""
SELECT timestampdiff(MICROSECOND, t.trx_wait_started, now(6)) / 1e6 AS value, waits.processlist_id AS session
FROM performance_schema.data_lock_waits w
JOIN performance_schema.threads waits ON waits.thread_id = w.requesting_thread_id
JOIN performance_schema.threads holds ON holds.thread_id = w.blocking_thread_id
JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = waits.processlist_id
WHERE holds.processlist_id IN :own AND waits.processlist_id NOT IN :own AND t.trx_wait_started IS NOT NULL
ORDER BY 1 DESC LIMIT 1
""").bindparams(sa.bindparam("own", expanding=True))
_LOCK_WAITS = "SELECT 1 FROM performance_schema.data_lock_waits, performance_schema.threads LIMIT 1"


class HistoryList:
    """The number of old row versions that InnoDB keeps for a snapshot, or has not purged yet."""

    def read(self, connection: sa.Connection) -> Measured:
        value = connection.execute(_HISTORY).scalar()
        if value is None:
            raise UnreachableError("the server gives no value.")
        return Measured(float(value))


class Blocked:
    """How long others have waited for locks that the run's sessions hold."""

    def __init__(self, scope: Scope, waiting: sa.TextClause) -> None:
        self._scope, self._waiting = scope, waiting

    def read(self, connection: sa.Connection) -> Measured:
        own = [*self._scope.own_sessions()]
        row = connection.execute(self._waiting, {"own": own}).one_or_none() if own else None
        return Measured(0.0) if row is None else Measured(float(row.value), of=f"session {row.session}")


_TRANSACTIONS = "SELECT 1 FROM information_schema.innodb_trx LIMIT 1"


def _process_right(query: str) -> Callable[[sa.Connection, Scope], str | None]:
    """Return a check for the right PROCESS: it runs the query, as rights may come from a role."""

    def missing(connection: sa.Connection, scope: Scope) -> str | None:
        try:
            connection.exec_driver_sql(query).all()
        except DBAPIError as error:
            if classify(driver_error(error)) is not Fault.DENIED:
                raise
            return f"GRANT PROCESS ON *.* TO {account(connection.dialect, scope.role)};"
        return None

    return missing


def _lock_waits_right(connection: sa.Connection, scope: Scope) -> str | None:
    """Return the grant of the first missing right: the query on lock waits needs two."""
    try:
        connection.exec_driver_sql(_LOCK_WAITS).all()
    except DBAPIError as error:
        if classify(driver_error(error)) is not Fault.DENIED:
            raise
        return f"GRANT SELECT ON performance_schema.* TO {account(connection.dialect, scope.role)};"
    return _process_right(_TRANSACTIONS)(connection, scope)


SIGNALS: dict[str, ServerSignal] = {
    "replica-lag": replica_lag.MYSQL,
    "blocked": ServerSignal(lambda scope: Blocked(scope, _WAITING_MYSQL), _lock_waits_right, quiet=lambda _, __: True),
    "commit-latency": COMMIT_LATENCY,
    "threads-running": ServerSignal(ThreadsRunning),
    "active-per-cpu": host.ACTIVE_PER_CPU,
    "history-list": ServerSignal(
        lambda _: HistoryList(), _process_right("SELECT 1 FROM information_schema.innodb_metrics LIMIT 1")
    ),
    "free-disk": host.FREE_DISK,
}
MARIADB: dict[str, ServerSignal] = SIGNALS | {
    "replica-lag": replica_lag.MARIADB,
    "blocked": ServerSignal(
        lambda scope: Blocked(scope, _WAITING_MARIADB), _process_right(_TRANSACTIONS), quiet=lambda _, __: True
    ),
    "flow-control": flow_control.SIGNAL,
}
"""The signals of MariaDB, which keeps lock waits in another table, and has Galera."""
