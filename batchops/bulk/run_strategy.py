"""The strategy of a run: chosen at its start, built from what was pinned then, and where the run begins."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.operations import Operation
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.strategies import STRATEGIES, strategy_kind
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.strategies.partitioned import PartitionedStrategy
from batchops.bulk.strategies.row_list import RowList, value_name
from batchops.bulk.strategies.strategy import AUTO, Choice, Situation, Strategy, Target
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.errors import RefusedError
from batchops.ledger.resume import ContinuedRun, NewRun, Resume
from batchops.ledger.run import Run
from batchops.sql.selection import Selection


def choose(situation: Situation) -> Choice:
    """Return the strategy that was asked for, or for "auto" the best for the table; RefusedError if there is none."""
    named = [kind for kind in STRATEGIES if situation.wanted in (AUTO, kind.name)]
    usable = [kind for kind in named if kind.once or not situation.once]
    fitting = [kind for kind in usable if kind.takes_ids == (situation.ids is not None)]
    choices = [choice for kind in fitting if (choice := kind.choose(situation)) is not None]
    if len(choices) == 1 or (choices and situation.unstable):  # then only one that evaluates once is right
        return choices[0]
    if choices:
        work = situation.work
        return replace(_cheapest(choices), sampled=work.rows if work is not None and work.sampled else None)
    raise _refusal_of_once(situation, usable=bool(usable)) if situation.once else _refusal(situation)


def _cheapest(choices: list[Choice]) -> Choice:
    """Return the cheapest choice, with the costs of the two best in its reason; the first if no costs are known."""
    best, second, *_ = sorted(choices, key=lambda choice: math.inf if choice.cost is None else choice.cost)
    if best.cost is None or second.cost is None:
        return best
    figures = f"about {round(best.cost):,} rows read, {second.strategy} {round(second.cost):,}"
    return replace(best, why=f"{best.why}; {figures}")


def _refusal_of_once(situation: Situation, *, usable: bool) -> RefusedError:
    if not usable:
        return RefusedError(
            f"A backfill cannot use the strategy {situation.wanted}: it could update a row twice.",
            "leave --strategy out.",
        )
    return RefusedError(
        "The table has no primary key or unique index without NULLs, so a backfill cannot follow its rows.",
        "add one; no option overrides this.",
    )


def _refusal(situation: Situation) -> RefusedError:
    if situation.named and situation.key is None:
        return RefusedError(
            f'Rows of "{situation.table.label}" cannot be named: it has no primary key or unique index without NULLs.',
            "add one.",
        )
    if situation.named and situation.wanted != AUTO and not strategy_kind(situation.wanted).names_rows:
        return RefusedError(
            f"The strategy {situation.wanted} does not name rows by their key, which this job needs.",
            "leave --strategy out.",
        )
    if situation.leaves is not None:
        return RefusedError(
            f"The partitioned table cannot use the strategy {situation.wanted}.",
            "leave --strategy out, or add a primary key to the parent.",
        )
    why = strategy_kind(situation.wanted).text.refusal
    return RefusedError(
        f'Table "{situation.table.label}" cannot use the strategy {situation.wanted}: {why}.',
        "see `batchops strategies`.",
    )


def strategy_of(
    connection: sa.Connection,
    database: Database,
    table: Table,
    pinned: Pinned,
    ids: IdList | None = None,
    *,
    look_again: bool,
) -> Strategy:
    """Return the pinned strategy for the table, or for each of its pinned partitions that still exist."""
    kind, backend = strategy_kind(pinned.strategy), database.backend
    assert kind.takes_ids == (ids is not None)

    def over(part: Table) -> Strategy:
        selection = Selection(part, pinned.condition, backend.planner.shield(part))
        listed = _existing_list(connection, database, pinned.row_list).table(part) if pinned.row_list else None
        values = len(pinned.assignments)
        target = Target(
            connection, database.reading, backend, selection, pinned.key, ids, listed, values, pinned.sets_own,
            look_again,
        )  # fmt: skip
        return kind.build(target)

    if not pinned.leaves:
        return over(table)
    leaves: Mapping[str, Strategy] = {
        leaf.identity: over(replace(leaf, alias=table.name, only=True))
        for leaf in backend.catalog.find_all(connection, pinned.leaves)
    }
    return PartitionedStrategy(leaves, pinned.strategy)


def _existing_list(connection: sa.Connection, database: Database, listed: RowList) -> RowList:
    """Return the list; RefusedError if somebody has dropped it, as its rows cannot be found again."""
    if database.backend.catalog.find(connection, listed.schema, listed.name) is None:
        raise RefusedError(
            f'The table "{listed.name}", which lists the rows of the run, is gone: what is left of it is not known.',
            "--restart evaluates the condition and the values anew.",
        )
    return listed


def operation_of(verb: BulkVerb, pinned: Pinned) -> Operation:
    """Return the operation of the run. It takes values from the list of rows if they are in it."""
    if pinned.row_list is None:
        return verb.operation(pinned.assignments, {})
    return verb.operation(pinned.assignments, {name: value_name(place) for place, name in enumerate(pinned.stored)})


def start(connection: sa.Connection, strategy: Strategy, resume: Resume) -> Cursor:
    """Return where the run begins: at the start; or behind an earlier run, and then from the start up to there."""
    if isinstance(resume, ContinuedRun):
        cursor = min((Cursor.loaded(worker.cursor) for worker in resume.run.workers), key=lambda cursor: cursor.over)
        return cursor.revisit_later(Range(None, None, resume.again)) if resume.again else cursor
    whole = strategy.begin(connection)
    return _from_where_it_stopped(whole, resume.behind) if isinstance(resume, NewRun) and resume.behind else whole


def only_begun(behind: Run) -> Run | None:
    """Return the run with the begun rows alone in its cursors; None if there are none."""
    cursors = {worker.number: Cursor.loaded(worker.cursor) for worker in behind.workers}
    if not any(cursor.begun for cursor in cursors.values()):
        return None
    begun = {
        number: replace(cursor, ranges=tuple(one for one in cursor.ranges if one.begun is not None))
        for number, cursor in cursors.items()
    }
    workers = tuple(replace(worker, cursor=begun[worker.number].dumped()) for worker in behind.workers)
    return replace(behind, workers=workers)


def _from_where_it_stopped(whole: Cursor, behind: Run) -> Cursor:
    ranges = [range_ for worker in behind.workers for range_ in Cursor.loaded(worker.cursor).ranges]
    begun = tuple(range_ for range_ in ranges if range_.begun is not None)
    continued = _continued(whole, behind, [range_ for range_ in ranges if not range_.keys])
    return replace(continued, ranges=(*begun, *continued.ranges))


def _continued(whole: Cursor, behind: Run, left: Sequence[Range]) -> Cursor:
    if not left or whole.over:
        return whole
    first, full = left[0], whole.ranges[0]
    if len(whole.ranges) > 1 or len(behind.workers) > 1:
        # What is left first, then everything: the part that has just been emptied is read quickly.
        return replace(whole, ranges=(*left, *whole.ranges))
    if first.after is None or first.token != full.token:
        return whole
    return replace(whole, ranges=(replace(full, after=first.after), replace(full, upto=first.after)))
