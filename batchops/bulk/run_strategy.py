"""The walk that a run follows, built from what was pinned at its start; and where on it the run begins."""

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.strategies.block import FURTHER_PASSES, BlockStrategy
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.ids import IdsStrategy
from batchops.bulk.strategies.index import IndexStrategy
from batchops.bulk.strategies.key import KeyStrategy
from batchops.bulk.strategies.limit import LimitStrategy
from batchops.bulk.strategies.partitioned import PartitionedStrategy
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.backend import Backend
from batchops.db.table import Table
from batchops.ledger.resume import Anew, GoOn, Resume
from batchops.ledger.run import Run
from batchops.sql.selection import Selection


def strategy_of(
    connection: sa.Connection,
    backend: Backend,
    table: Table,
    pinned: Pinned,
    ids: IdList | None = None,
    *,
    look_again: bool,
) -> Strategy:
    """The pinned strategy for the table, or for each of its pinned partitions that still exist."""
    if ids is not None or pinned.strategy == IdsStrategy.name:
        # The list is part of what the job is: with it any other strategy would change rows that are not listed.
        assert ids is not None
        assert pinned.strategy == IdsStrategy.name
        return IdsStrategy(backend, Selection(table, pinned.condition, backend.shield), pinned.key, ids)
    further = FURTHER_PASSES if look_again else 0
    if not pinned.leaves:
        return _over(connection, backend, table, pinned, further)
    leaves: Mapping[str, Strategy] = {
        leaf.identity: _over(connection, backend, replace(leaf, alias=table.name, only=True), pinned, further)
        for leaf in backend.find_all(connection, pinned.leaves)
    }
    return PartitionedStrategy(leaves, pinned.strategy)


def _over(connection: sa.Connection, backend: Backend, table: Table, pinned: Pinned, further: int) -> Strategy:
    selection = Selection(table, pinned.condition, backend.shield)
    if pinned.strategy == "block":
        blocks = backend.blocks(connection, table)
        assert blocks is not None  # chosen because they exist, and pinned with the table's identity
        return BlockStrategy(backend, selection, blocks, further_passes=further)
    if pinned.strategy == "limit":
        return LimitStrategy(backend, selection)
    strategy = IndexStrategy if pinned.strategy == "index" else KeyStrategy
    return strategy(backend, selection, pinned.key)


def start(connection: sa.Connection, strategy: Strategy, how: Resume) -> Cursor:
    """Where the run begins: at the start, or behind another one and then from the start up to there."""
    if isinstance(how, GoOn):
        cursor = min((Cursor.loaded(worker.cursor) for worker in how.run.workers), key=lambda cursor: cursor.over)
        return cursor.revisit_later(Range(None, None, how.again)) if how.again else cursor
    whole = strategy.begin(connection)
    return _from_where_it_stopped(whole, how.behind) if isinstance(how, Anew) and how.behind else whole


def _from_where_it_stopped(whole: Cursor, behind: Run) -> Cursor:
    left = [range_ for worker in behind.workers for range_ in Cursor.loaded(worker.cursor).ranges if not range_.keys]
    if not left or whole.over:
        return whole
    first, full = left[0], whole.ranges[0]
    if len(whole.ranges) > 1 or len(behind.workers) > 1:
        # What is left first, then everything: what has just been emptied is quickly read.
        return replace(whole, ranges=(*left, *whole.ranges))
    if first.after is None or first.storage != full.storage:
        return whole
    return replace(whole, ranges=(replace(full, after=first.after), replace(full, upto=first.after)))
