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
    """What hangs on a table and on its server."""
    foreign_keys: "ForeignKeys"
    contents: "Contents"
    rights: "Rights"
    faults: "Faults"
    cutoffs: "Cutoffs"
    sql_functions: "SqlFunctions"
    own_tables: "OwnTables"
    row_lists: "RowLists"
    row_moves: "RowMoves"
    row_lines: "RowLines | None"
    """How rows leave the database as exact text."""
    maintenance: "Maintenance"
    claims: "ClaimQueries"
    events: "EventTables"
    """How an outbox is kept and read."""
    exact_columns: "ExactColumns"
    row_loading: "RowLoading"
    """How values are outside the database, and come back the same."""
    whole_keys: "Addresses"
    places: "Addresses | None"
    """Of rows in their tables' blocks."""
    blocks: "Blocks | None"
    partitions: "Partitions | None"
    signals: "Mapping[str, ServerSignal]"
    """What a run may be throttled by, beside signals that any database has."""
    notifications: "Notifications | None"
