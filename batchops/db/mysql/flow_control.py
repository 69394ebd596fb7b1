"""The signal `flow-control`: the share of time in which a Galera cluster paused writes for its slowest node."""

import time
from collections.abc import Callable

import sqlalchemy as sa

from batchops.db.signals import Measured, ServerSignal
from batchops.errors import RefusedError

SHORTEST = 0.5
"""The shortest time, in seconds, between two readings from which a share is computed."""
_STATUS = "SHOW GLOBAL STATUS WHERE variable_name IN ('wsrep_cluster_status', 'wsrep_flow_control_paused_ns')"


class FlowControl:
    """Computes the share from one reading to the next: the server's own covers the time since start or FLUSH STATUS."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, int] | None = None
        self._share: float | None = None

    def read(self, connection: sa.Connection) -> Measured:
        status = {str(name).lower(): str(value) for name, value in connection.exec_driver_sql(_STATUS)}
        now = self._clock()
        if not status.get("wsrep_cluster_status") or status["wsrep_cluster_status"] == "Disconnected":
            raise RefusedError("this server is no node of a Galera cluster.")
        if status["wsrep_cluster_status"] != "Primary":
            return Measured(None, reason=f"the node is not in the primary component ({status['wsrep_cluster_status']})")
        paused = int(status["wsrep_flow_control_paused_ns"])
        if self._before is None or paused < self._before[1]:
            self._before = now, paused
        elif (seconds := now - self._before[0]) >= SHORTEST:
            self._share = min((paused - self._before[1]) / 1e9 / seconds, 1.0)
            self._before = now, paused
        return Measured(self._share, of="" if self._share is not None else "known after a second")


SIGNAL = ServerSignal(lambda _: FlowControl())
