"""PostgreSQL's capabilities, put together from this folder."""

from collections.abc import Mapping

from batchops.db.addresses import Addresses
from batchops.db.blocks import Blocks
from batchops.db.catalog import Catalog
from batchops.db.claims import ClaimQueries
from batchops.db.column_contents import Contents
from batchops.db.event_tables import EventTables
from batchops.db.exact_columns import ExactColumns
from batchops.db.facts import Facts
from batchops.db.faults import Faults
from batchops.db.foreign_keys import ForeignKeys
from batchops.db.keys import Keys
from batchops.db.literals import Cutoffs
from batchops.db.maintenance import Maintenance
from batchops.db.own_tables import OwnTables
from batchops.db.partitions import Partitions
from batchops.db.planner import Planner
from batchops.db.postgresql.addresses import HeapPlaces, PostgreSQLWholeKeys
from batchops.db.postgresql.blocks import HeapBlocks
from batchops.db.postgresql.catalog import PostgreSQLCatalog
from batchops.db.postgresql.claims import PostgreSQLClaims
from batchops.db.postgresql.column_contents import PostgreSQLContents
from batchops.db.postgresql.event_tables import PostgreSQLEvents
from batchops.db.postgresql.exact_columns import PostgreSQLExactColumns
from batchops.db.postgresql.facts import PostgreSQLFacts
from batchops.db.postgresql.faults import PostgreSQLFaults
from batchops.db.postgresql.foreign_keys import PostgreSQLForeignKeys
from batchops.db.postgresql.keys import PostgreSQLKeys
from batchops.db.postgresql.literals import PostgreSQLCutoffs
from batchops.db.postgresql.maintenance import PostgreSQLMaintenance
from batchops.db.postgresql.own_tables import PostgreSQLOwnTables
from batchops.db.postgresql.partitions import PostgreSQLPartitions
from batchops.db.postgresql.planner import PostgreSQLPlanner
from batchops.db.postgresql.rights import PostgreSQLRights
from batchops.db.postgresql.row_lines import PostgreSQLRowLines
from batchops.db.postgresql.row_lists import PostgreSQLRowLists
from batchops.db.postgresql.row_loading import PostgreSQLRowLoading
from batchops.db.postgresql.row_moves import PostgreSQLRowMoves
from batchops.db.postgresql.sessions import PostgreSQLNotifications, PostgreSQLSessions
from batchops.db.postgresql.signals import SIGNALS
from batchops.db.postgresql.sql_functions import SQL_FUNCTIONS
from batchops.db.rights import Rights
from batchops.db.row_lines import RowLines
from batchops.db.row_lists import RowLists
from batchops.db.row_loading import RowLoading
from batchops.db.row_moves import RowMoves
from batchops.db.sessions import Notifications, Sessions
from batchops.db.signals import ServerSignal
from batchops.db.sql_functions import SqlFunctions


class PostgreSQL:
    """PostgreSQL 13 and later, through psycopg."""

    catalog: Catalog = PostgreSQLCatalog()
    keys: Keys = PostgreSQLKeys()
    planner: Planner = PostgreSQLPlanner()
    facts: Facts = PostgreSQLFacts()
    foreign_keys: ForeignKeys = PostgreSQLForeignKeys()
    contents: Contents = PostgreSQLContents()
    rights: Rights = PostgreSQLRights()
    faults: Faults = PostgreSQLFaults()
    cutoffs: Cutoffs = PostgreSQLCutoffs()
    sql_functions: SqlFunctions = SQL_FUNCTIONS
    own_tables: OwnTables = PostgreSQLOwnTables()
    row_lists: RowLists = PostgreSQLRowLists()
    row_moves: RowMoves = PostgreSQLRowMoves()
    row_lines: RowLines = PostgreSQLRowLines()
    maintenance: Maintenance = PostgreSQLMaintenance()
    claims: ClaimQueries = PostgreSQLClaims()
    events: EventTables = PostgreSQLEvents()
    exact_columns: ExactColumns = PostgreSQLExactColumns()
    row_loading: RowLoading = PostgreSQLRowLoading()
    whole_keys: Addresses = PostgreSQLWholeKeys()
    places: Addresses | None = HeapPlaces()
    blocks: Blocks | None = HeapBlocks()
    partitions: Partitions | None = PostgreSQLPartitions()
    signals: Mapping[str, ServerSignal] = SIGNALS
    notifications: Notifications | None = PostgreSQLNotifications()

    def __init__(self) -> None:
        self.sessions: Sessions = PostgreSQLSessions()
