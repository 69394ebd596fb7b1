"""SQLite's capabilities: one file, one writer."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from batchops.db.backend import Blocks, Suspect, Timeouts
from batchops.db.explain import explained
from batchops.db.faults import Fault
from batchops.db.sqlite import catalog, cutoffs, faults, indexes, keys
from batchops.db.sqlite.claims import SQLiteClaims
from batchops.db.sqlite.column_contents import SQLiteContents
from batchops.db.sqlite.event_tables import HASH, SQLiteEvents, hashed
from batchops.db.sqlite.facts import SQLiteFacts
from batchops.db.sqlite.key_lookup import look_up
from batchops.db.sqlite.sql_functions import SQL_FUNCTIONS
from batchops.db.storable_text import TextRoom
from batchops.db.table import Table
from batchops.db.urls import DatabaseAddress

_ANY_BYTES = partial(str, encoding="utf-8", errors="surrogateescape")
"""SQLite takes any bytes for a text. Twice as slow as Python's own way, so only once there was such a one."""
BUSY_TIMEOUT = 250
"""Milliseconds that SQLite itself waits for its file to be written to."""


class SQLite:
    """SQLite through Python's own module."""

    name = "SQLite"
    sql_functions = SQL_FUNCTIONS
    one_writer = True
    locks_rows = False
    explains_writes = True
    unset_time = "''"
    shield = "+"
    partitions = None
    row_id = "rowid"
    indexes_hold_key = True
    longest_list = 5_000
    undoes_statements = False  # a constraint or trigger may say FAIL, which keeps what was done

    claims = SQLiteClaims()
    notifications = None
    events = SQLiteEvents()
    contents = SQLiteContents()
    facts = SQLiteFacts()
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
    cutoff_before = staticmethod(cutoffs.before)
    cutoff_ago = staticmethod(cutoffs.ago)

    def __init__(self) -> None:
        self._lock_timeout = Timeouts().lock
        self._cancelled: set[int] = set()
        self._text: Callable[[bytes], str] = str
        """What makes a text of what the file has as one."""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        self._lock_timeout = timeouts.lock
        engine = sa.create_engine(
            address.url,
            pool_size=connections,
            connect_args={"timeout": timeouts.lock, "isolation_level": None},
        )

        @sa.event.listens_for(engine, "connect")
        def settle(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.create_function(HASH, 1, hashed, deterministic=True)

        return engine

    def making_right(self, *_: object) -> str | None:
        return None

    def numbering_rights(self, *_: object) -> tuple[str, ...]:
        return ()

    def missing_right(self, *_: object) -> tuple[str, ...] | None:
        return None  # there are no rights but the file's

    def hides(self, *_: object) -> bool:
        return False

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        pass  # there are no policies here

    def begin(self, connection: sa.Connection, *, lazy: bool = False) -> None:  # noqa: ARG002  set for a whole file
        # A read that later turns into a write is refused as busy whatever the timeout; IMMEDIATE waits.
        self._read_text(connection)
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        try:
            self._begin_immediate(connection)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(self._lock_timeout * 1000)}")

    def _begin_immediate(self, connection: sa.Connection) -> None:
        """SQLite's own waiting for the file cannot be interrupted, so it waits in small pieces."""
        end = time.monotonic() + self._lock_timeout
        mine = id(connection.connection.driver_connection)
        self._cancelled.discard(mine)
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except sa.exc.OperationalError as error:
                passing = faults.classify(error) is Fault.TRANSIENT
                if not passing or time.monotonic() > end or mine in self._cancelled:
                    raise

    def begin_reading(self, connection: sa.Connection) -> None:
        self._read_text(connection)
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN DEFERRED")

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:  # noqa: ARG002  no estimates
        return None

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [row.detail for row in explained(connection, statement, "EXPLAIN QUERY PLAN")]

    def blocks(self, connection: sa.Connection, table: Table) -> Blocks | None:  # noqa: ARG002  rows lie by key here
        return None

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        found = (catalog.find(connection, schema, name) for schema, name in names)
        return [table for table in found if table is not None]

    def leaves(self, *_: object) -> Sequence[Table] | None:
        return None

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:  # noqa: ARG002  no such counters
        return None

    def epoch(self) -> sa.ColumnElement[float]:
        return (sa.func.julianday("now") - sa.literal_column("2440587.5")) * sa.literal_column("86400.0")

    def text_room(
        self,
        connection: sa.Connection,  # noqa: ARG002  any column holds any text
        schema: str | None,  # noqa: ARG002
        table: str,  # noqa: ARG002
        column: str,  # noqa: ARG002
    ) -> TextRoom:
        return TextRoom()

    def insert_once(self, table: sa.Table) -> sa.Insert:
        return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def classify(self, error: BaseException) -> Fault:
        if faults.is_no_text(error) and self._text is str:
            self._text = _ANY_BYTES
            return Fault.TRANSIENT
        return faults.classify(error)

    def _read_text(self, connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.text_factory = self._text

    def message(self, error: BaseException) -> str:
        return faults.message(error)

    def refused_row(self, *_: object) -> Suspect | None:
        return None  # it names no row

    def cancel(self, connection: Any, engine: sa.Engine) -> None:  # noqa: ARG002  the protocol's shape
        self._cancelled.add(id(connection))
        connection.interrupt()
