"""What a client takes for MySQL 8: a MariaDB of that version number, behind a wire that translates.

No MySQL server runs here. So every statement that batchops sends to one is recorded as it was sent, to be checked by
MySQL's grammar; the few that MariaDB does not know are then translated, so that all goes on as on MySQL.
"""

import re
from contextlib import suppress

import sqlglot
from sqlglot import exp

from tests.services import mariadb
from tests.services.frames import COM_QUERY, Frame, mysql_frames
from tests.services.private import Private
from tests.services.proxy import Proxy, _Link

_VERSION = "8.0.36"
_SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION"
)
"""As it is where nobody has set it."""
_DEFAULT_GENERATED = (
    "if(column_default LIKE 'current_timestamp%', trim(concat('DEFAULT_GENERATED ', columns.extra)), columns.extra)"
)
_TO_MARIADB = (
    (r"@@transaction_isolation\b", "@@tx_isolation"),
    (r"EXPLAIN FORMAT=TRADITIONAL\b", "EXPLAIN EXTENDED"),
    (r"SESSION (max_execution_time|information_schema_stats_expiry)\b", r"@\1"),
    (r"SELECT /\*\+ MAX_EXECUTION_TIME\((\d+)\) \*/", r"SET STATEMENT max_statement_time = \1e-3 FOR SELECT"),
    (r"information_schema\.innodb_tables\b", "information_schema.innodb_sys_tables"),
)


def private() -> Private:
    """The server, ready to `start()`; its clients go through a `MySQL8Wire`."""
    server = mariadb.private()
    server.argv = [*server.argv, f"--version={_VERSION}", f"--sql-mode={_SQL_MODE}"]
    return server


class MySQL8Wire(Proxy):
    """Records in `statements` what clients send to MySQL, and sends what MariaDB has for it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.statements: list[str] = []

    def _upstream(self, link: _Link) -> None:
        with suppress(OSError):
            for frame in mysql_frames(link.client):
                if frame.sql:
                    self.statements.append(frame.sql)
                link.server.sendall(_translated(frame))
        link.cut()


def changes_what_it_reads(sql: str) -> bool:
    """Whether a DELETE or UPDATE has a sub-select on its own table: MySQL's error 1093, where MariaDB goes on."""
    if not re.match(r"\s*(DELETE|UPDATE)\b", sql, re.IGNORECASE):
        return False
    write = sqlglot.parse_one(re.sub(r"^\s*UPDATE IGNORE\b", "UPDATE", sql), dialect="mysql")  # it knows no IGNORE
    own = write.this.name
    return any(table.name == own for select in write.find_all(exp.Select) for table in select.find_all(exp.Table))


def _translated(frame: Frame) -> bytes:
    sql = frame.sql
    for mysql, maria in _TO_MARIADB:
        sql = re.sub(mysql, maria, sql, flags=re.IGNORECASE)
    if "information_schema." in sql and sql.lstrip().upper().startswith("SELECT"):
        sql = _as_in_the_dictionary(sql)
    if sql == frame.sql:
        return frame.data
    body = COM_QUERY + sql.encode()
    return len(body).to_bytes(3, "little") + b"\0" + body


def _as_in_the_dictionary(sql: str) -> str:
    """MySQL gives columns of information_schema back in upper case, unless a query names them."""
    query = sqlglot.parse_one(sql, dialect="mysql")
    for item in list(query.selects):
        if isinstance(item, exp.Column):
            item.replace(exp.alias_(item.copy(), item.name.upper(), quoted=True))
    text = query.sql(dialect="mysql")
    return re.sub(r"\bextra\b(?! AS `)", _DEFAULT_GENERATED, text) if "schema.columns" in text else text
