"""The signal `wal-size` of SQLite: the bytes of WAL not yet copied to the file, which a long reader prevents."""

import sqlalchemy as sa

from batchops.db.signals import Measured, ServerSignal

_FRAME = 24
"""Bytes of the header before each page in the WAL."""


class WalSize:
    """Measures by a passive checkpoint, which neither waits for other sessions nor makes them wait.

    While the run waits, perhaps no other session writes; then only this checkpoint copies the pages once the reader
    has ended. The size of the WAL file tells nothing, as the file never becomes smaller.
    """

    def read(self, connection: sa.Connection) -> Measured:
        page = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # before that, SQLite does not look for a WAL
        connection.exec_driver_sql("ROLLBACK")
        _, frames, copied = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        if frames < 0:
            return Measured(None, of="no WAL: journal_mode is another one")
        return Measured(float((frames - copied) * (page + _FRAME)))


SIGNAL = ServerSignal(lambda _: WalSize(), writes=True)
