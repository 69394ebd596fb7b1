"""What a database can do, in protocols; nothing outside `db/` asks which database it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from batchops.db.facts import Facts
from batchops.db.faults import Fault
from batchops.db.notifications import Notifications
from batchops.db.partitions import Partitions
from batchops.db.sql_functions import SqlFunctions
from batchops.db.storable_text import TextRoom
from batchops.db.table import Column, Table, TableIdentity
from batchops.db.types import KeyValue
from batchops.db.urls import DatabaseAddress
from batchops.errors import RefusedError

if TYPE_CHECKING:
    from batchops.db.claims import ClaimQueries
    from batchops.db.column_contents import Contents
    from batchops.db.event_tables import EventTables


@dataclass(frozen=True)
class Server:
    """Which server answered, and as whom."""

    product: str
    version: str
    identity: str
    """Where the data is, for a ledger kept elsewhere: a system identifier, a host and port, a file's path."""
    role: str
    zone: str
    read_only: bool
    unwritable: tuple[str, str] = ("", "connect to the primary.")
    """Why it is read-only, where it says that, and the way out."""

    def refusal(self, shown: str) -> RefusedError | None:
        """Where nothing can be written; `shown`: its address."""
        why, hint = self.unwritable
        return RefusedError(why or f"The server is read-only ({shown}).", hint) if self.read_only else None


SILENCE = 10.0
"""Seconds beyond its own timeout after which a server that says nothing counts as gone: a half-open link."""


@dataclass(frozen=True)
class Timeouts:
    """How long a statement may wait for a lock, and how long it may run, in seconds."""

    lock: float = 5.0
    statement: float = 60.0


@dataclass(frozen=True)
class Suspect:
    """The row that a statement was refused for, as far as the server tells."""

    place: int
    """Its place in the list of rows that the statement was for."""
    certain: bool
    """Whether it was named; else only how many rows came before it is known, in the order the server chose."""


@dataclass(frozen=True)
class IndexUse:
    """An index through which the server would find all rows of a selection."""

    name: str
    columns: tuple[str, ...]
    rows: int
    """Rows the selection has, by the server's estimate."""
    ties: float
    """Rows with one value of the first column, where the index gives those no order that can be followed."""


class Blocks(Protocol):
    """A table whose rows can be scanned by block."""

    place: str
    """The hidden column that is a row's place."""
    start: KeyValue
    """Before the first row."""

    def last(self, connection: sa.Connection, table: Table) -> int:
        """The number of the last block; -1 for none."""

    def storage(self, connection: sa.Connection, table: Table) -> int:
        """Changes when the table is written anew; holds the table so for the transaction."""

    def kept(self, table: Table, storage: int | None) -> sa.ColumnElement[bool]:
        """Whether it was not written anew, as a condition beside others."""

    def rows_per_block(self, table: Table) -> float:
        """By the table's own estimates; at least 1."""

    def block_of(self, place: KeyValue | None) -> int:
        """The block of a place."""

    def place_of(self, place: KeyValue | None) -> tuple[int, int]:
        """A place as numbers that have its order."""

    def end_of(self, block: int) -> KeyValue:
        """The last place in a block."""


class Backend(Protocol):
    """One family's capabilities."""

    name: str
    sql_functions: SqlFunctions
    one_writer: bool
    """Whether a second connection cannot write while the first does (SQLite)."""
    locks_rows: bool
    """Whether SELECT … FOR UPDATE (SKIP LOCKED) exists."""
    explains_writes: bool
    """Whether a DELETE or UPDATE can be explained where nothing may be written."""
    unset_time: str | None
    """What stands in a column of dates where no time was set, beside NULL."""
    shield: str
    """What keeps a condition from being looked up in an index of its own; empty where that needs no help."""
    partitions: Partitions | None
    """What it can do with whole partitions, where it has such."""
    row_id: str | None
    """A hidden column that names a row inside a transaction."""
    indexes_hold_key: bool
    """Whether every index ends in the primary key, which is then found without a look at the row."""
    longest_list: int
    """How many keys `among` takes at the most."""
    undoes_statements: bool
    """Whether a statement that fails undoes what it did, and the transaction goes on without it."""
    claims: "ClaimQueries"
    """How workers that share a table take its rows."""
    notifications: Notifications | None
    """How a session is woken by another, where it can be."""
    events: "EventTables"
    """How an outbox is kept and read."""
    contents: "Contents"
    """What a column can hold."""

    facts: Facts
    """What it can find out about what hangs on a table."""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        """`connections`: how many may be at work at one time; each is kept for the next who needs one."""

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        """From now on, leave rows that a policy hides alone instead of failing."""

    def begin(self, connection: sa.Connection, *, lazy: bool = False) -> None:
        """Begin a transaction that will write; `lazy`: its COMMIT need not wait for the disk."""

    def begin_reading(self, connection: sa.Connection) -> None:
        """Begin a transaction that the server itself keeps from writing."""

    def server(self, connection: sa.Connection) -> Server: ...

    def find(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """The table of that name, or None."""

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        """Those that are there of many tables, each by its schema and exact name."""

    def table_identity(self, connection: sa.Connection, table: Table) -> TableIdentity:
        """What the server itself remembers the table by, as far as this role may see it."""

    def unlabelled(self, label: str) -> tuple[str | None, str]:
        """Schema and name of the table that has this label; `Table.label` the other way round."""

    def tables(self, connection: sa.Connection) -> Sequence[str]:
        """Names of the tables a person may have meant."""

    def matches(self, connection: sa.Connection, select: sa.Select[Any]) -> int | None:
        """How many rows the planner expects of `select`; None where it does not say."""

    def explain(self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> list[str]:
        """The server's own plan of a statement, not run."""

    def key_refusal(self, column: Column) -> str | None:
        """Why this column cannot be followed as a key; None where it can."""

    def key_out(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """How a key column is selected so that its value is exact."""

    def exact(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The same for a key's column that another SELECT has found."""

    def key_order(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        """The key column as rows are put in order by it."""

    def key_value(self, value: Any) -> Any:
        """What `key_out` gave, as it is kept and sent again."""

    def after(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows behind `key` in the order of `names`."""

    def upto(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows up to and with `key`."""

    def among(self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Rows with one of `keys`, by the index."""

    def look_up(
        self,
        connection: sa.Connection,
        table: Table,
        names: Sequence[str],
        texts: Sequence[tuple[str, ...]],
        key: Sequence[str],
    ) -> list[tuple[int, KeyValue]]:
        """The values in `key` of the rows that there are of those with `texts` in `names`, with the texts' places.

        RowRefusedError, or the driver's own error, where one cannot be read in its column's type.
        """

    def between(self, table: Table, names: Sequence[str], low: KeyValue, high: KeyValue) -> KeyValue | None:
        """A key halfway by number; None where the first column is none or there is nothing between."""

    def blocks(self, connection: sa.Connection, table: Table) -> Blocks | None:
        """Its blocks, where this server can scan them."""

    def index_for(self, connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
        """The one index through which the server would find all rows of `select`; None for any other plan."""

    def leaves(
        self, connection: sa.Connection, table: Table, select: sa.Select[Any], right: str
    ) -> Sequence[Table] | None:
        """Partitions and children that may hold rows of `select`; None for a plain table, empty: only as one."""

    def meter(self, connection: sa.Connection) -> Callable[[], int] | None:
        """How many rows this connection reads from now on, of users' tables, by the server's own counters."""

    def epoch(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """What a text column can hold; `schema` None: of a table that batchops has made where new tables go."""

    def insert_once(self, table: sa.Table) -> sa.Insert:
        """An INSERT that leaves rows alone whose key is there already; its row count tells."""

    def cutoff_before(self, connection: sa.Connection, table: Table, column: Column, moment: str) -> str:
        """A literal in the column's own type for the moment a person wrote; UsageError where it is none."""

    def cutoff_ago(self, connection: sa.Connection, table: Table, column: Column, ago: timedelta) -> str:
        """A literal in the column's own type for that long ago by the server's clock."""

    def classify(self, error: BaseException) -> Fault: ...

    def message(self, error: BaseException) -> str: ...

    def refused_row(
        self,
        connection: sa.Connection,
        error: BaseException,
        table: Table,
        names: Sequence[str],
        keys: Sequence[KeyValue],
    ) -> Suspect | None:
        """Which row with one of `keys` in `names` the last statement was refused for; None where unsaid."""

    def cancel(self, connection: Any, engine: sa.Engine) -> None:
        """Cancel what a driver connection is running; called from another thread."""

    def making_right(self, connection: sa.Connection, table: Table, role: str) -> str | None:
        """The statement that lets this role make a table and use it; None where it may, or the server does not tell.

        The transaction is one of `Database.explaining`, as for the next two.
        """

    def numbering_rights(self, connection: sa.Connection, table: Table, role: str) -> Sequence[str]:
        """The statements that let this role have new rows of the table numbered."""

    def missing_right(
        self, connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
    ) -> tuple[str, ...] | None:
        """The columns without SELECT, INSERT, UPDATE or DELETE; empty: the table; None: nothing is missing.

        No columns: is there the right to the table, or to any one of its columns? The transaction is one of
        `Database.explaining`.
        """

    def hides(self, connection: sa.Connection, table: Table) -> bool:
        """Whether the table may be there although `find` does not see it, because this role has no right to it."""
