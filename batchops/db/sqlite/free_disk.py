"""The signal `free-disk` of SQLite: the free bytes on the disk of the file."""

import os

import sqlalchemy as sa

from batchops.db import server_host
from batchops.db.signals import Measured, ServerSignal
from batchops.errors import RefusedError


class FreeDisk:
    """The free bytes on the disk of the file's folder, where the WAL grows too."""

    def read(self, connection: sa.Connection) -> Measured:
        file = next((row.file for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main"), "")
        if not file:
            raise RefusedError("the database is no file.")
        folder = os.path.dirname(file) or "."
        return Measured(float(server_host.free_bytes(folder)), of=folder)


SIGNAL = ServerSignal(lambda _: FreeDisk())
