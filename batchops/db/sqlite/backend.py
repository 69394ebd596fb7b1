"""SQLite's capabilities, put together from this folder."""

from collections.abc import Mapping, Sequence
from functools import partial

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.compiler import compiles

from batchops.db.addresses import Addresses
from batchops.db.blocks import Blocks
from batchops.db.catalog import Catalog
from batchops.db.claims import ClaimQueries
from batchops.db.column_contents import Contents
from batchops.db.event_tables import EventTables
from batchops.db.exact_columns import ExactColumns
from batchops.db.facts import Facts
from batchops.db.faults import Fault, Faults, RefusedRow
from batchops.db.foreign_keys import ForeignKeys
from batchops.db.keys import Keys
from batchops.db.literals import Cutoffs
from batchops.db.maintenance import Maintenance
from batchops.db.own_tables import OwnTables
from batchops.db.partitions import Partitions
from batchops.db.planner import Planner
from batchops.db.rights import Rights
from batchops.db.row_lines import RowLines
from batchops.db.row_lists import RowLists
from batchops.db.row_loading import RowLoading
from batchops.db.row_moves import RowMoves
from batchops.db.sessions import Notifications, Sessions
from batchops.db.signals import ServerSignal
from batchops.db.sql_functions import SqlFunctions
from batchops.db.sqlite import faults
from batchops.db.sqlite.addresses import SQLiteWholeKeys
from batchops.db.sqlite.catalog import SQLiteCatalog
from batchops.db.sqlite.claims import SQLiteClaims
from batchops.db.sqlite.column_contents import SQLiteContents
from batchops.db.sqlite.event_tables import SQLiteEvents
from batchops.db.sqlite.exact_columns import SQLiteExactColumns
from batchops.db.sqlite.facts import SQLiteFacts
from batchops.db.sqlite.foreign_keys import SQLiteForeignKeys
from batchops.db.sqlite.keys import SQLiteKeys
from batchops.db.sqlite.literals import SQLiteCutoffs
from batchops.db.sqlite.maintenance import SQLiteMaintenance
from batchops.db.sqlite.planner import SQLitePlanner
from batchops.db.sqlite.row_lines import SQLiteRowLines
from batchops.db.sqlite.row_lists import SQLiteRowLists
from batchops.db.sqlite.row_loading import SQLiteRowLoading
from batchops.db.sqlite.row_moves import SQLiteRowMoves
from batchops.db.sqlite.sessions import SQLiteSessions
from batchops.db.sqlite.signals import SIGNALS
from batchops.db.sqlite.sql_functions import SQL_FUNCTIONS
from batchops.db.storable_text import TextRoom
from batchops.db.types import Whole

_ANY_BYTES = partial(str, encoding="utf-8", errors="surrogateescape")
"""Decodes any bytes, as SQLite stores any bytes as text. It takes twice as long as `str`, so it is used only after
a text that is not valid UTF-8 was read."""


class SQLiteFaults:
    """What sqlite3's errors mean; they never name a row.

    An error for a text that is not valid UTF-8 makes the sessions decode any bytes from then on.
    """

    message = staticmethod(faults.message)

    def __init__(self, sessions: SQLiteSessions) -> None:
        self._sessions = sessions

    def classify(self, error: BaseException) -> Fault:
        if faults.is_no_text(error) and self._sessions.text is str:
            self._sessions.text = _ANY_BYTES
            return Fault.TRANSIENT
        return faults.classify(error)

    def refused_row(self, *_: object) -> RefusedRow | None:
        return None

    def refuses_each(self, connection: sa.Connection, update: sa.Update, *_: object) -> bool:
        """Run the UPDATE with OR IGNORE, which leaves out refused rows; return whether it has changed no row."""
        return connection.execute(update.prefix_with("OR IGNORE")).rowcount == 0


class SQLiteRights:
    """Rights in SQLite: there are only those of the file, so nothing is ever missing here."""

    def account(self, dialect: sa.Dialect, role: str) -> str:  # noqa: ARG002  there are no roles
        return role

    def making(self, *_: object) -> str | None:
        return None

    def listing(self, *_: object) -> str | None:
        return None

    def numbering(self, *_: object) -> Mapping[str, Sequence[str]]:
        return {}

    def all_held(self, *_: object) -> bool:
        return True

    def missing(self, *_: object) -> tuple[str, ...] | None:
        return None


@compiles(Whole, "sqlite")
def _whole(*_: object, **__: object) -> str:
    return "INTEGER"  # SQLite numbers rows only by this type


class SQLiteOwnTables:
    """SQLite's clock and its INSERT that skips existing rows; any column holds any text."""

    def epoch(self) -> sa.ColumnElement[float]:
        return (sa.func.julianday("now") - sa.literal_column("2440587.5")) * sa.literal_column("86400.0")

    def insert_once(self, table: sa.Table) -> sa.Insert:
        return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def text_room(self, *_: object) -> TextRoom:
        return TextRoom()


class SQLite:
    """SQLite through Python's own module."""

    catalog: Catalog = SQLiteCatalog()
    keys: Keys = SQLiteKeys()
    planner: Planner = SQLitePlanner()
    facts: Facts = SQLiteFacts()
    foreign_keys: ForeignKeys = SQLiteForeignKeys()
    contents: Contents = SQLiteContents()
    rights: Rights = SQLiteRights()
    cutoffs: Cutoffs = SQLiteCutoffs()
    sql_functions: SqlFunctions = SQL_FUNCTIONS
    own_tables: OwnTables = SQLiteOwnTables()
    row_moves: RowMoves = SQLiteRowMoves()
    row_lines: RowLines = SQLiteRowLines()
    row_lists: RowLists = SQLiteRowLists()
    maintenance: Maintenance = SQLiteMaintenance()
    claims: ClaimQueries = SQLiteClaims()
    events: EventTables = SQLiteEvents()
    exact_columns: ExactColumns = SQLiteExactColumns()
    row_loading: RowLoading = SQLiteRowLoading()
    whole_keys: Addresses = SQLiteWholeKeys()
    places: Addresses | None = None
    blocks: Blocks | None = None
    partitions: Partitions | None = None
    signals: Mapping[str, ServerSignal] = SIGNALS
    notifications: Notifications | None = None

    def __init__(self) -> None:
        self.sessions: Sessions = (sessions := SQLiteSessions())
        self.faults: Faults = SQLiteFaults(sessions)
