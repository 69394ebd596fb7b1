"""What a MariaDB or MySQL server can be watched for."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.faults import Fault, driver_error
from batchops.db.mysql import replica_lag
from batchops.db.mysql.faults import classify
from batchops.db.mysql.rights import account
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import UnreachableError

_OURS = sa.text(
    "SELECT count(*) FROM information_schema.processlist WHERE id IN :own AND command <> 'Sleep'"
).bindparams(sa.bindparam("own", expanding=True))
_HISTORY = sa.text("SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'")
_WAITING = sa.text("""
SELECT timestampdiff(MICROSECOND, waits.trx_wait_started, now(6)) / 1e6 AS value, waits.trx_mysql_thread_id AS session
FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx waits ON waits.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx holds ON holds.trx_id = w.blocking_trx_id
WHERE holds.trx_mysql_thread_id IN :own AND waits.trx_mysql_thread_id NOT IN :own
ORDER BY 1 DESC LIMIT 1
""").bindparams(sa.bindparam("own", expanding=True))


class ThreadsRunning:
    """The server's own figure without the run's sessions and the one that asks."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def read(self, connection: sa.Connection) -> Measured:
        running = int(connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Threads_running'").one()[1])
        own = [*self._scope.own_sessions()]
        ours = int(connection.execute(_OURS, {"own": own}).scalar_one()) if own else 0
        return Measured(float(max(0, running - ours - 1)))


class HistoryList:
    """Versions of rows that InnoDB keeps for somebody's snapshot, or has yet to clear."""

    def read(self, connection: sa.Connection) -> Measured:
        value = connection.execute(_HISTORY).scalar()
        if value is None:
            raise UnreachableError("the server gives no value.")
        return Measured(float(value))


class Blocked:
    """How long others wait for locks that the run's sessions hold, by MariaDB's tables."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def read(self, connection: sa.Connection) -> Measured:
        own = [*self._scope.own_sessions()]
        row = connection.execute(_WAITING, {"own": own}).one_or_none() if own else None
        return Measured(0.0) if row is None else Measured(float(row.value), of=f"session {row.session}")


def _process_right(query: str) -> Callable[[sa.Connection, Scope], str | None]:
    """Asks the server itself, as rights may come from a role."""

    def missing(connection: sa.Connection, scope: Scope) -> str | None:
        try:
            connection.exec_driver_sql(query).all()
        except DBAPIError as error:
            if classify(driver_error(error)) is not Fault.DENIED:
                raise
            return f"GRANT PROCESS ON *.* TO {account(connection.dialect, scope.role)};"
        return None

    return missing


SIGNALS: dict[str, ServerSignal] = {
    "replica-lag": replica_lag.MYSQL,
    "threads-running": ServerSignal(ThreadsRunning),
    "history-list": ServerSignal(
        lambda _: HistoryList(), _process_right("SELECT 1 FROM information_schema.innodb_metrics LIMIT 1")
    ),
}
BLOCKED = ServerSignal(
    Blocked, _process_right("SELECT 1 FROM information_schema.innodb_trx LIMIT 1"), quiet=lambda _, __: True
)
"""MariaDB's alone: MySQL keeps lock waits elsewhere."""
