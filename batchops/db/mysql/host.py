"""Signals about the host of a MariaDB or MySQL server: read directly on this host, or from the server."""

import os
import socket

import sqlalchemy as sa

from batchops.db import server_host
from batchops.db.mysql.server_health import free_bytes
from batchops.db.mysql.threads import ThreadsRunning
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import RefusedError


def _data_directory_here(connection: sa.Connection) -> str | None:
    """Return the data directory if the server runs on this host; None if it does not."""
    host, folder = connection.exec_driver_sql("SELECT @@hostname, @@datadir").one()
    return str(folder) if host == socket.gethostname() and os.path.isdir(str(folder)) else None


class FreeDisk:
    """The free disk space of the data directory, by MariaDB's plugin DISKS, else by this host."""

    def read(self, connection: sa.Connection) -> Measured:
        free = free_bytes(connection)
        if free is not None:
            return Measured(float(free), of="the data directory")
        folder = _data_directory_here(connection)
        if folder is None:
            hint = "on MariaDB the plugin DISKS tells it: INSTALL SONAME 'disks'."
            raise RefusedError("the server is on another host, whose disk it does not tell.", hint)
        return Measured(float(server_host.free_bytes(folder)), of=folder)


class ActivePerCpu:
    """The threads at work for each CPU of the server; the CPUs are counted once."""

    def __init__(self, scope: Scope) -> None:
        self._running = ThreadsRunning(scope)
        self._cpus: int | None = None

    def read(self, connection: sa.Connection) -> Measured:
        if self._cpus is None:
            if _data_directory_here(connection) is None:
                raise RefusedError(
                    "the server is on another host, and does not tell how many CPUs that has.",
                    "use threads-running with a number.",
                )
            self._cpus = server_host.cpus()
        running = self._running.read(connection).value or 0.0
        return Measured(running / self._cpus, of=f"{self._cpus} CPUs")


FREE_DISK = ServerSignal(lambda _: FreeDisk())
ACTIVE_PER_CPU = ServerSignal(ActivePerCpu)
