"""A MariaDB server and a replica of it, both private."""

from contextlib import closing

from sqlalchemy import make_url

from tests.services import mariadb
from tests.services.private import Private


def source() -> Private:
    """A server with a binary log, ready to `start()`."""
    server = mariadb.private()
    server.argv = [*server.argv, "--log-bin=binlog", "--server-id=1", "--binlog-format=ROW"]
    return server


def replica() -> Private:
    """A server that may become a replica, ready to `start()`."""
    server = mariadb.private()
    server.argv = [*server.argv, "--server-id=2", "--relay-log=relay"]
    return server


def replicate(replica: Private, source: Private) -> None:
    """Let one follow the other from its beginning."""
    at = make_url(source.url)
    ask(
        replica,
        f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {at.port}, master_user = 'root',"
        f" master_password = '{mariadb.PASSWORD}', master_use_gtid = slave_pos",
        "START SLAVE",
    )


def ask(server: Private, *statements: str) -> None:
    """Run statements there."""
    with closing(mariadb.connect(server.url, autocommit=True)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
