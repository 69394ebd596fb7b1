"""MySQL's capabilities, put together from this folder."""

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
from batchops.db.mysql.addresses import MySQLWholeKeys
from batchops.db.mysql.catalog import MySQLCatalog
from batchops.db.mysql.claims import MySQLClaims
from batchops.db.mysql.column_contents import MySQLContents
from batchops.db.mysql.event_tables import MySQLEvents
from batchops.db.mysql.exact_columns import MySQLExactColumns
from batchops.db.mysql.facts import MySQLFacts
from batchops.db.mysql.faults import MySQLFaults
from batchops.db.mysql.foreign_keys import MySQLForeignKeys
from batchops.db.mysql.keys import MySQLKeys
from batchops.db.mysql.literals import MySQLCutoffs
from batchops.db.mysql.maintenance import MySQLMaintenance
from batchops.db.mysql.own_tables import MySQLOwnTables
from batchops.db.mysql.planner import MySQLPlanner
from batchops.db.mysql.rights import MySQLRights
from batchops.db.mysql.row_lines import MySQLRowLines
from batchops.db.mysql.row_lists import MySQLRowLists
from batchops.db.mysql.row_loading import MySQLRowLoading
from batchops.db.mysql.row_moves import MySQLRowMoves
from batchops.db.mysql.sessions import MySQLSessions
from batchops.db.mysql.signals import SIGNALS
from batchops.db.mysql.sql_functions import SQL_FUNCTIONS
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


class MySQL:
    """MySQL 8.0 and 8.4, through PyMySQL."""

    catalog: Catalog = MySQLCatalog()
    keys: Keys = MySQLKeys()
    planner: Planner = MySQLPlanner()
    facts: Facts = MySQLFacts(MySQLPlanner())
    foreign_keys: ForeignKeys = MySQLForeignKeys()
    contents: Contents = MySQLContents()
    rights: Rights = MySQLRights()
    faults: Faults = MySQLFaults()
    cutoffs: Cutoffs = MySQLCutoffs()
    sql_functions: SqlFunctions = SQL_FUNCTIONS
    own_tables: OwnTables = MySQLOwnTables()
    row_moves: RowMoves = MySQLRowMoves()
    row_lines: RowLines = MySQLRowLines()
    row_lists: RowLists = MySQLRowLists()
    maintenance: Maintenance = MySQLMaintenance()
    claims: ClaimQueries = MySQLClaims()
    events: EventTables = MySQLEvents()
    exact_columns: ExactColumns = MySQLExactColumns()
    row_loading: RowLoading = MySQLRowLoading()
    whole_keys: Addresses = MySQLWholeKeys()
    places: Addresses | None = None
    blocks: Blocks | None = None
    partitions: Partitions | None = None
    signals: Mapping[str, ServerSignal] = SIGNALS
    notifications: Notifications | None = None

    def __init__(self) -> None:
        self.sessions: Sessions = MySQLSessions()
