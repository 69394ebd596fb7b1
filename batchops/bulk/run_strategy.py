"""The walk that a run follows, built from what was frozen at its start; and where on it the run begins."""

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.plan.pinned import Frozen
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.block import FURTHER_TURNS, BlocksWalk
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.ids import IdsWalk
from batchops.bulk.strategies.index import IndexWalk
from batchops.bulk.strategies.key import KeysWalk
from batchops.bulk.strategies.limit import LimitWalk
from batchops.bulk.strategies.partitioned import LeavesWalk
from batchops.db.backend import Family
from batchops.db.table import Table
from batchops.ledger.resume import Anew, GoOn, Resume
from batchops.ledger.run import Run
from batchops.sql.selection import Selection


def walk_of(
    connection: sa.Connection,
    family: Family,
    table: Table,
    frozen: Frozen,
    ids: IdList | None = None,
    *,
    look_again: bool,
) -> Walk:
    """The frozen walk over the table, or over each of its frozen partitions that are still there."""
    if ids is not None or frozen.walk == IdsWalk.name:
        # The list is part of what the job is: with it any other walk would change rows that are not listed.
        assert ids is not None
        assert frozen.walk == IdsWalk.name
        return IdsWalk(family, Selection(table, frozen.predicate, family.shield), frozen.key, ids)
    further = FURTHER_TURNS if look_again else 0
    if not frozen.leaves:
        return _over(connection, family, table, frozen, further)
    leaves: Mapping[str, Walk] = {
        leaf.identity: _over(connection, family, replace(leaf, alias=table.name, only=True), frozen, further)
        for leaf in family.find_all(connection, frozen.leaves)
    }
    return LeavesWalk(leaves, frozen.walk)


def _over(connection: sa.Connection, family: Family, table: Table, frozen: Frozen, further: int) -> Walk:
    selection = Selection(table, frozen.predicate, family.shield)
    if frozen.walk == "blocks":
        blocks = family.blocks(connection, table)
        assert blocks is not None  # chosen because they are there, and frozen with the table's identity
        return BlocksWalk(family, selection, blocks, further_turns=further)
    if frozen.walk == "limit":
        return LimitWalk(family, selection)
    walk = IndexWalk if frozen.walk == "index" else KeysWalk
    return walk(family, selection, frozen.key)


def start(connection: sa.Connection, walk: Walk, how: Resume) -> Cursor:
    """Where the run begins: at the start, or behind another one and round to there again."""
    if isinstance(how, GoOn):
        cursor = min((Cursor.loaded(lane.cursor) for lane in how.run.lanes), key=lambda cursor: cursor.over)
        return cursor.come_back(Range(None, None, how.again)) if how.again else cursor
    whole = walk.begin(connection)
    return _round(whole, how.behind) if isinstance(how, Anew) and how.behind else whole


def _round(whole: Cursor, behind: Run) -> Cursor:
    left = [way for lane in behind.lanes for way in Cursor.loaded(lane.cursor).ranges if not way.keys]
    if not left or whole.over:
        return whole
    first, full = left[0], whole.ranges[0]
    if len(whole.ranges) > 1 or len(behind.lanes) > 1:
        # What is left first, then everything: what has just been emptied is quickly read.
        return replace(whole, ranges=(*left, *whole.ranges))
    if first.after is None or first.storage != full.storage:
        return whole
    return replace(whole, ranges=(replace(full, after=first.after), replace(full, upto=first.after)))
