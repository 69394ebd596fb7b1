"""How much of a SQLite file's WAL is not yet in the file: a reader that stays keeps it from being copied there."""

import sqlalchemy as sa

from batchops.db.signals import Measured, ServerSignal

_FRAME = 24
"""Bytes beside each page."""


class WalSize:
    """By a passive checkpoint, which waits for nobody and keeps nobody waiting.

    While the run waits nobody else may write, so that none but this copies the pages once the reader is gone. The
    size of the file says nothing: it stays as large as it once was.
    """

    def read(self, connection: sa.Connection) -> Measured:
        page = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # else it does not know that there is a WAL
        connection.exec_driver_sql("ROLLBACK")
        _, frames, copied = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        if frames < 0:
            return Measured(None, of="no WAL: journal_mode is another one")
        return Measured(float((frames - copied) * (page + _FRAME)))


SIGNAL = ServerSignal(lambda _: WalSize(), writes=True)
