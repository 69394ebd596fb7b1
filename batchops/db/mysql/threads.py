"""The signal `threads-running`: how many threads of a MariaDB or MySQL server work for other clients."""

import sqlalchemy as sa

from batchops.db.signals import Measured, Scope

_OURS = sa.text(
    "SELECT count(*) FROM information_schema.processlist WHERE id IN :own AND command <> 'Sleep'"
).bindparams(sa.bindparam("own", expanding=True))


class ThreadsRunning:
    """Reads the server's own figure, without the run's sessions and the session that asks."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def read(self, connection: sa.Connection) -> Measured:
        running = int(connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Threads_running'").one()[1])
        own = [*self._scope.own_sessions()]
        ours = int(connection.execute(_OURS, {"own": own}).scalar_one()) if own else 0
        return Measured(float(max(0, running - ours - 1)))
