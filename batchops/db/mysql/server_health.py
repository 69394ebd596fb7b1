"""What a plan reports about a MariaDB or MySQL server: replicas, the binary log, old transactions, free space."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import LogCost

OLD = 5
"""Seconds after which a transaction that holds back the clean-up of dead rows is reported."""
_LOG = sa.text(
    "SELECT @@global.log_bin AS kept, @@session.binlog_format AS format, @@session.binlog_row_image AS image"
)
_REPLICAS = sa.text(
    "SELECT concat(user, '@', host) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
)
_SNAPSHOTS = sa.text("""
SELECT trx_mysql_thread_id AS id, timestampdiff(SECOND, trx_started, now()) AS age FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id <> connection_id() AND trx_started < now() - INTERVAL :old SECOND
ORDER BY trx_started LIMIT 3
""")
_DISK = sa.text(
    "SELECT available * 1024 FROM information_schema.disks WHERE @@datadir LIKE concat(path, '%') "
    "ORDER BY length(path) DESC LIMIT 1"
)


def log(connection: sa.Connection) -> LogCost | None:
    """Return the cost of a row in the binary log; None where the server keeps none."""
    row = connection.execute(_LOG).one()
    if not row.kept:
        return None
    return LogCost("binlog", 10, {"FULL": 1.0}.get(row.image, 0.3) if row.format != "STATEMENT" else 0.0)


def replicas(connection: sa.Connection) -> tuple[str, ...]:
    """Return the replicas that fetch the binary log now, as far as this account may see them."""
    return tuple(row[0] for row in _rows_if_allowed(connection, _REPLICAS))


def free_bytes(connection: sa.Connection) -> int | None:
    """Return the free bytes on the disk of the data directory; None without the plugin DISKS, which MySQL lacks."""
    rows = _rows_if_allowed(connection, _DISK)
    return int(rows[0][0]) if rows else None


def warnings(connection: sa.Connection, *, keyless: bool) -> Iterator[str]:
    """Yield warnings about what keeps dead rows, and about what the job does on replicas."""
    for row in _rows_if_allowed(connection, _SNAPSHOTS, old=OLD):
        yield (
            f"Session {row.id} has had a transaction open for {row.age} s: "
            "rows that are deleted now stay on the disk until it ends."
        )
    about = connection.execute(_LOG).one()
    if about.kept and about.format == "STATEMENT":
        yield (
            "The binary log is statement-based: replicas run every batch's statement themselves, and a LIMIT or a "
            "clock may choose other rows there. Hint: SET GLOBAL binlog_format = 'ROW'."
        )
    elif about.kept and keyless:
        yield "The table has no key: row-based replicas scan it for each row that changes."


def _rows_if_allowed(connection: sa.Connection, query: sa.TextClause, **values: Any) -> list[sa.Row[Any]]:
    """Return the query's rows; none if this account lacks the right, or the server lacks the table."""
    try:
        return list(connection.execute(query, values))
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return []
