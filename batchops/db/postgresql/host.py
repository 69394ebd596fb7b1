"""Signals about the host of a PostgreSQL server: read directly on this host, or through the server's own files."""

import sqlalchemy as sa

from batchops.db import server_host
from batchops.db.postgresql.active_sessions import ACTIVE
from batchops.db.postgresql.stats_right import missing_settings_right, missing_stats_right
from batchops.db.signals import Measured, ServerSignal
from batchops.errors import RefusedError

_HERE = sa.text("""
SELECT pg_catalog.inet_server_addr() IS NULL OR pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr() AS near,
       pg_catalog.pg_backend_pid() AS pid
""")
_FOLDER = sa.text("SELECT current_setting('data_directory')")
_MAY_READ = sa.text("SELECT pg_catalog.has_function_privilege('pg_catalog.pg_read_file(text)', 'EXECUTE')")
_CPUS = sa.text("""
SELECT count(*) FROM pg_catalog.regexp_split_to_table(pg_catalog.pg_read_file('/proc/cpuinfo'), E'\\n') AS line
WHERE line LIKE 'processor%'
""")


def is_here(connection: sa.Connection) -> bool:
    """Whether the server runs on this host: the connection stays on it, and the session's process exists here."""
    row = connection.execute(_HERE).one()
    return bool(row.near) and server_host.process_name(row.pid).startswith("postgres")


class FreeDisk:
    """The free disk space of the data directory; other tablespaces are not checked."""

    def read(self, connection: sa.Connection) -> Measured:
        if not is_here(connection):
            raise RefusedError("the server is on another host, whose disk it does not tell.")
        folder = str(connection.execute(_FOLDER).scalar_one())
        return Measured(float(server_host.free_bytes(folder)), of=folder)


class ActivePerCpu:
    """The active sessions for each CPU of the server; the CPUs are counted once."""

    def __init__(self) -> None:
        self._cpus: int | None = None

    def read(self, connection: sa.Connection) -> Measured:
        if self._cpus is None:
            self._cpus = _cpus(connection)
        return Measured(float(connection.execute(ACTIVE).one().value) / self._cpus, of=f"{self._cpus} CPUs")


def _cpus(connection: sa.Connection) -> int:
    if is_here(connection):
        return server_host.cpus()
    if connection.execute(_MAY_READ).scalar_one() and (found := int(connection.execute(_CPUS).scalar_one())):
        return found
    raise RefusedError(
        "the server is on another host, and this role may not read how many CPUs that has.",
        "grant EXECUTE on pg_read_file(text), or use active-sessions with a number.",
    )


FREE_DISK = ServerSignal(lambda _: FreeDisk(), missing_settings_right)
ACTIVE_PER_CPU = ServerSignal(lambda _: ActivePerCpu(), missing_stats_right)
