"""What a database can do, in one protocol for each matter; nothing outside `db/` asks which database it is."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
    from batchops.db.rights import Rights
    from batchops.db.row_lines import RowLines
    from batchops.db.row_lists import RowLists
    from batchops.db.row_loading import RowLoading
    from batchops.db.row_moves import RowMoves
    from batchops.db.sessions import Notifications, Sessions
    from batchops.db.signals import ServerSignal
    from batchops.db.sql_functions import SqlFunctions


class Backend(Protocol):
    """One database's capabilities; None for what it does not have."""

    sessions: "Sessions"
    catalog: "Catalog"
    keys: "Keys"
    planner: "Planner"
    facts: "Facts"
    """What depends on a table and its server: triggers, foreign keys and more."""
    foreign_keys: "ForeignKeys"
    contents: "Contents"
    rights: "Rights"
    faults: "Faults"
    cutoffs: "Cutoffs"
    sql_functions: "SqlFunctions"
    own_tables: "OwnTables"
    row_lists: "RowLists"
    row_moves: "RowMoves"
    row_lines: "RowLines"
    """How rows leave the database as exact text."""
    maintenance: "Maintenance"
    claims: "ClaimQueries"
    events: "EventTables"
    """How the event table of an outbox is made and read."""
    exact_columns: "ExactColumns"
    row_loading: "RowLoading"
    """How archived rows are loaded into a table with the same values."""
    whole_keys: "Addresses"
    places: "Addresses | None"
    """Addresses of rows by their places in the table's blocks."""
    blocks: "Blocks | None"
    partitions: "Partitions | None"
    signals: "Mapping[str, ServerSignal]"
    """The signals of the server that a throttle can watch, by name."""
    notifications: "Notifications | None"
