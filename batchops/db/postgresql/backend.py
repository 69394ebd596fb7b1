"""PostgreSQL's capabilities, put together from this folder."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from batchops.db.backend import SILENCE, Blocks, Server, Suspect, Timeouts
from batchops.db.explain import explained
from batchops.db.faults import Fault
from batchops.db.postgresql import catalog, cutoffs, faults, keys, loaders, storable_text
from batchops.db.postgresql.blocks import HeapBlocks, has_tid_ranges
from batchops.db.postgresql.claims import PostgreSQLClaims
from batchops.db.postgresql.column_contents import PostgreSQLContents
from batchops.db.postgresql.event_tables import PostgreSQLEvents
from batchops.db.postgresql.facts import PostgreSQLFacts
from batchops.db.postgresql.indexes import index_for
from batchops.db.postgresql.key_lookup import look_up
from batchops.db.postgresql.notifications import PostgreSQLNotifications
from batchops.db.postgresql.partition_drop import PostgreSQLPartitions
from batchops.db.postgresql.partitions import leaves
from batchops.db.postgresql.plans import plan_of
from batchops.db.postgresql.rights import making_right, missing_right, numbering_rights
from batchops.db.postgresql.sql_functions import SQL_FUNCTIONS
from batchops.db.postgresql.watchdog import WatchedConnection
from batchops.db.storable_text import TextRoom
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.db.urls import DatabaseAddress

# Everything is SET LOCAL inside the transaction: behind a transaction pooler a session setting reaches
# somebody else's session. row_security=off turns a hidden row into an error. The float and date styles make
# a key's text exact whatever the database's own defaults are; DateStyle keeps the order of day and month.
_SETTINGS = (
    "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}; "
    "SET LOCAL idle_in_transaction_session_timeout = {statement}; SET LOCAL row_security = off; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; "
    "SET LOCAL bytea_output = hex"
)
# Of this transaction alone. Live rows only: what a scan steps over is not counted.
_READ = sa.text(
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) FROM pg_catalog.pg_stat_xact_user_tables "
    "WHERE relname NOT LIKE 'batchops\\_%'"
)


class PostgreSQL:
    """PostgreSQL 13 and later, through psycopg."""

    name = "PostgreSQL"
    sql_functions = SQL_FUNCTIONS
    one_writer = False
    locks_rows = True
    explains_writes = True
    unset_time = None
    shield = ""
    partitions = PostgreSQLPartitions()
    row_id = "ctid"
    indexes_hold_key = False
    longest_list = 50_000
    undoes_statements = False

    claims = PostgreSQLClaims()
    notifications = PostgreSQLNotifications()
    events = PostgreSQLEvents()
    contents = PostgreSQLContents()
    facts = PostgreSQLFacts()
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
    index_for = staticmethod(index_for)
    leaves = staticmethod(leaves)
    find = staticmethod(catalog.find)
    find_all = staticmethod(catalog.find_all)
    table_identity = staticmethod(catalog.table_identity)
    unlabelled = staticmethod(catalog.unlabelled)
    tables = staticmethod(catalog.tables)
    making_right = staticmethod(making_right)
    numbering_rights = staticmethod(numbering_rights)
    missing_right = staticmethod(missing_right)
    cutoff_before = staticmethod(cutoffs.before)
    cutoff_ago = staticmethod(cutoffs.ago)

    def __init__(self) -> None:
        self._settings = _SETTINGS.format(lock="'5s'", statement="'60s'")

    def hides(self, *_: object) -> bool:
        return False  # the catalog shows every table to everybody

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        self._settings = _SETTINGS.format(lock=round(timeouts.lock * 1000), statement=round(timeouts.statement * 1000))
        return sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: _connect(address.conninfo or "", timeouts.statement + SILENCE),
            isolation_level="AUTOCOMMIT",
            pool_size=connections,
            pool_timeout=30,
            use_native_hstore=False,
        )

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        self._settings = self._settings.replace("row_security = off", "row_security = on")
        connection.exec_driver_sql("SET LOCAL row_security = on")

    def begin(self, connection: sa.Connection, *, lazy: bool = False) -> None:
        wait = "; SET LOCAL synchronous_commit = off" if lazy else ""
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {self._settings}{wait}")

    def begin_reading(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {self._settings}")

    def server(self, connection: sa.Connection) -> Server:
        return catalog.server(connection)

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        return int(plan_of(connection, select)["Plan Rows"])

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        return [str(line) for line in explained(connection, statement, "EXPLAIN").scalars()]

    def blocks(self, connection: sa.Connection, table: Table) -> Blocks | None:
        return HeapBlocks() if has_tid_ranges(connection, table) else None

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        before = connection.execute(_READ).scalar_one()
        return lambda: int(connection.execute(_READ).scalar_one() - before)

    def epoch(self) -> sa.ColumnElement[float]:
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        return storable_text.text_room(connection, schema, table, column)

    def insert_once(self, table: sa.Table) -> sa.Insert:
        return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def classify(self, error: BaseException) -> Fault:
        return faults.classify(error)

    def message(self, error: BaseException) -> str:
        return faults.message(error)

    def refused_row(
        self, connection: sa.Connection, error: BaseException, table: Table, names: Sequence[str],  # noqa: ARG002
        keys: Sequence[KeyValue],
    ) -> Suspect | None:  # fmt: skip
        text = faults.refused_row(error, table) if tuple(names) == table.column_names[:1] else None
        place = next((i for i, key in enumerate(keys) if str(key[0]) == text), None)
        return None if place is None else Suspect(place, certain=True)

    def cancel(self, connection: Any, engine: sa.Engine) -> None:  # noqa: ARG002  the protocol's shape
        connection.cancel_safe(timeout=5)


def _connect(conninfo: str, silence: float) -> psycopg.Connection[Any]:
    # AUTOCOMMIT at the driver: BEGIN is ours, in one message with its settings. No prepared
    # statements: poolers lose them, and a plan for the condition's real values is the better one.
    connection = WatchedConnection.connect(
        conninfo,
        autocommit=True,
        prepare_threshold=None,
        application_name="batchops",
        client_encoding="utf8",  # else a SQL_ASCII database's texts come as bytes, and its own encoding bounds ours
        connect_timeout=10,
        tcp_user_timeout=30000,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )
    connection.silence = silence
    loaders.register(connection)
    return connection
