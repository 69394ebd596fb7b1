"""MySQL's and MariaDB's capabilities; what differs between the two is in `products`."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import SILENCE, Blocks, Suspect, Timeouts
from batchops.db.explain import explained
from batchops.db.faults import Fault
from batchops.db.mysql import catalog, cutoffs, faults, indexes, keys, storable_text
from batchops.db.mysql.claims import MySQLClaims
from batchops.db.mysql.column_contents import MySQLContents
from batchops.db.mysql.event_tables import MySQLEvents
from batchops.db.mysql.facts import MySQLFacts
from batchops.db.mysql.key_lookup import look_up
from batchops.db.mysql.products import product_of
from batchops.db.mysql.rights import hides, making_right, missing_right, numbering_rights
from batchops.db.mysql.sessions import keep_in_order
from batchops.db.mysql.sql_functions import SQL_FUNCTIONS
from batchops.db.storable_text import TextRoom
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.db.urls import DatabaseAddress


class MySQL:
    """MariaDB 10.6 and later, and MySQL 8, through PyMySQL."""

    name = "MySQL"
    sql_functions = SQL_FUNCTIONS
    one_writer = False
    locks_rows = True
    explains_writes = False
    unset_time = "0"
    shield = ""
    partitions = None
    row_id = None
    indexes_hold_key = True
    longest_list = 1_000
    undoes_statements = True

    claims = MySQLClaims()
    notifications = None
    events = MySQLEvents()
    contents = MySQLContents()
    facts = MySQLFacts()
    key_refusal = staticmethod(keys.refusal)
    key_out = staticmethod(keys.out)
    exact = staticmethod(keys.exact)
    key_order = staticmethod(keys.order)
    key_value = staticmethod(keys.value)
    after = staticmethod(keys.after)
    upto = staticmethod(keys.upto)
    among = staticmethod(keys.among)
    look_up = staticmethod(look_up)
    between = staticmethod(keys.between)
    index_for = staticmethod(indexes.index_for)
    find = staticmethod(catalog.find)
    table_identity = staticmethod(catalog.table_identity)
    unlabelled = staticmethod(catalog.unlabelled)
    tables = staticmethod(catalog.tables)
    server = staticmethod(catalog.server)
    making_right = staticmethod(making_right)
    numbering_rights = staticmethod(numbering_rights)
    missing_right = staticmethod(missing_right)
    hides = staticmethod(hides)
    cutoff_before = staticmethod(cutoffs.before)
    cutoff_ago = staticmethod(cutoffs.ago)

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        engine = sa.create_engine(
            address.url,
            pool_size=connections,
            pool_timeout=30,
            # Every transaction is ended by us; a ROLLBACK at each return would be one more round trip a batch.
            pool_reset_on_return=None,
            connect_args={
                "connect_timeout": 10,
                "read_timeout": timeouts.statement + SILENCE,
                "write_timeout": timeouts.statement + SILENCE,
                # A hostile server could otherwise ask for any file of this machine.
                "local_infile": False,
            },
        )

        keep_in_order(engine, timeouts, lambda connection: self.cancel(connection, engine))
        return engine

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        pass  # there are no policies here

    def begin(self, connection: sa.Connection, *, lazy: bool = False) -> None:  # noqa: ARG002  set for a whole server
        connection.exec_driver_sql("START TRANSACTION READ WRITE")

    def begin_reading(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        row = explained(connection, select, product_of(connection).explain).mappings().first()
        if row is None or row["rows"] is None:
            return None
        return round(float(row["rows"]) * float(row["filtered"] or 100) / 100)

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        rows = explained(connection, statement, product_of(connection).explain).mappings()
        return [", ".join(f"{k}={v}" for k, v in row.items() if v is not None) for row in rows]

    def blocks(self, connection: sa.Connection, table: Table) -> Blocks | None:  # noqa: ARG002  rows lie by key here
        return None

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        found = (catalog.find(connection, schema, name) for schema, name in names)
        return [table for table in found if table is not None]

    def leaves(self, *_: object) -> Sequence[Table] | None:
        return None

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        before = _rows_read(connection)
        return lambda: _rows_read(connection) - before

    def epoch(self) -> sa.ColumnElement[float]:
        return sa.cast(sa.func.unix_timestamp(sa.func.now(6)), sa.Double)

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        return storable_text.text_room(connection, schema, table, column)

    def insert_once(self, table: sa.Table) -> sa.Insert:
        # ON DUPLICATE KEY UPDATE would count a row that was there already, as SQLAlchemy asks for rows found.
        return sa.insert(table).prefix_with("IGNORE").execution_options(preserve_rowcount=True)

    def classify(self, error: BaseException) -> Fault:
        return faults.classify(error)

    def message(self, error: BaseException) -> str:
        return faults.message(error)

    def refused_row(
        self, connection: sa.Connection, error: BaseException, table: Table, names: Sequence[str],  # noqa: ARG002
        keys: Sequence[KeyValue],
    ) -> Suspect | None:  # fmt: skip
        number = product_of(connection).refused_row(connection, error)
        return Suspect(number - 1, certain=False) if number and number <= len(keys) else None

    def cancel(self, connection: Any, engine: sa.Engine) -> None:
        with engine.connect() as other:
            other.exec_driver_sql(f"KILL QUERY {int(connection.thread_id())}")


def _rows_read(connection: sa.Connection) -> int:
    return sum(int(row[1]) for row in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'"))
