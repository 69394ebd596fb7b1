"""Finds out what a job would do, without writing anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops import durations
from batchops.budget.sharing import shown_budget
from batchops.bulk.children.plan import ChildrenPlan
from batchops.bulk.children.reached import Counting, rows_reached
from batchops.bulk.maintenance import asked
from batchops.bulk.operations import Operation
from batchops.bulk.plan.cost import Cost, cost
from batchops.bulk.plan.inspection import Inspection
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.plan.plan import COUNTED, BulkPlan
from batchops.bulk.plan.probes import Explained, Probe, probes, whole
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies import strategy_kind
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.id_file import shown_name
from batchops.bulk.strategies.row_list import to_list
from batchops.bulk.strategies.strategy import Batch, Strategy, StrategyKind
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.facts import TableName
from batchops.db.recorded_statements import SELECTED, shown_sql
from batchops.db.signals import Scope, run_scope
from batchops.errors import RefusedError
from batchops.ledger.last_run import LastRun
from batchops.ledger.resume import AlreadyDone, ContinuedRun, NewRun, Resume
from batchops.ledger.run import Run
from batchops.runtime.rate import Rate
from batchops.sql.selection import Selection
from batchops.sql.tokens import tokenize
from batchops.throttles.chosen import chosen

QUICK = 0.3
"""The seconds that counting may take if the user did not ask for it."""
FEW = 50_000
"""Rows of a table that are counted rather than estimated: a planner without statistics may be wrong by 100 times."""


@dataclass(frozen=True)
class RunStrategy:
    """The pinned values, the strategy and where it begins, and the operation."""

    pinned: Pinned
    why: str
    strategy: Strategy
    operation: Operation
    resume: Resume
    cursor: Cursor
    sampled: int | None = None
    """How many rows match by a sample, if one was taken."""
    reads: frozenset[TableName] = frozenset()
    """The tables that the condition and the values read in sub-selects, views and functions."""

    @property
    def kind(self) -> StrategyKind:
        """The strategy's entry in the registry."""
        return strategy_kind(self.pinned.strategy)


def several_workers(database: Database, route: RunStrategy) -> bool:
    """Whether a run may have several workers: those of a strategy that starts over would all take the same rows."""
    return not (database.backend.sessions.one_writer or route.kind.starts_over)


def probed(connection: sa.Connection, database: Database, found: Inspection, route: RunStrategy) -> tuple[Probe, ...]:
    """Return the strategy's statements at its start, middle and end; at least one."""
    writes = database.backend.planner.explains_writes and found.may_write
    if route.kind.evaluates_once and route.pinned.row_list is None:
        values = dict(route.pinned.assignments)
        reading = to_list(
            database.backend, found.table, route.pinned.condition, route.pinned.key,
            [values[name] for name in route.pinned.stored],
        )  # fmt: skip
        return (Probe("start", reading, reading),)
    listed = tuple(probes(connection, route.strategy, route.operation, route.cursor, writes=writes))
    if listed:
        return listed
    selection = Selection(found.table, route.pinned.condition)
    return (whole(route.operation, Batch(selection, sa.true(), route.cursor, 0), writes=writes),)


def describe(
    connection: sa.Connection, database: Database, verb: BulkVerb, spec: BulkSpec, found: Inspection,
    route: RunStrategy, statements: Sequence[Probe], last: LastRun | None,
) -> BulkPlan:  # fmt: skip
    """Return the plan. UsageError if the server does not accept one of its statements."""
    explained = tuple(_explained(connection, database, probe) for probe in statements)
    estimate, by = _estimate(connection, database, spec, found, route)
    children = _children(connection, database, verb, spec, found, route, estimate)
    costs = cost(
        verb.right, found.table, found.facts, route.kind, estimate, last.run if last else None, spec,
        children.others if children else 0,
    )  # fmt: skip
    rate = _rate(spec, costs, estimate)
    return BulkPlan(
        verb=verb,
        database=database.address.shown,
        server=found.server,
        table=found.table,
        facts=found.facts,
        pinned=route.pinned,
        strategy=route.pinned.strategy,
        why=route.why,
        estimate=estimate,
        estimated_by=by,
        index=_index(route),
        explained=explained,
        cost=costs,
        rate=rate,
        goes_on=_goes_on(route.resume),
        pacing=_pacing_text(spec, rate),
        limits=_limits(spec),
        target=spec.target_time.total_seconds(),
        throttles=chosen(connection, database, spec.throttles, _scope(database, spec, found)),
        afterwards=tuple(f"{statement} {found.table.label}" for statement in asked(spec)),
        name=database.address.name,
        max_rows=spec.max_rows,
        done=isinstance(route.resume, AlreadyDone),
        id_file=shown_name(spec.ids),
        children=children,
    )


def _children(
    connection: sa.Connection, database: Database, verb: BulkVerb, spec: BulkSpec, found: Inspection,
    route: RunStrategy, estimate: int | None,
) -> ChildrenPlan | None:  # fmt: skip
    if found.graph is None:
        return None
    selection = Selection(found.table, route.pinned.condition) if found.ids is None else None
    seconds = spec.statement_timeout.total_seconds() if spec.count else None
    counting = Counting(connection, database, selection, estimate, seconds)
    return ChildrenPlan(found.graph, *rows_reached(found.graph, counting), verb.removed)


def _scope(database: Database, spec: BulkSpec, found: Inspection) -> Scope:
    return run_scope(found.server.role, found.table, spec.replicas, database)


def _explained(connection: sa.Connection, database: Database, probe: Probe) -> Explained:
    explain = database.backend.planner.explain(connection, probe.explainable)
    note = () if probe.explainable is probe.statement else (SELECTED,)
    return Explained(probe.place, shown_sql(database, probe.statement), (*note, *explain))


def _estimate(
    connection: sa.Connection, database: Database, spec: BulkSpec, found: Inspection, route: RunStrategy
) -> tuple[int | None, str]:
    facts, resumed = database.backend.facts, isinstance(route.resume, ContinuedRun)
    if found.ids is not None and not resumed:
        more = "" if route.pinned.condition is None else ", before the condition"
        return found.ids.rows, f"ids that name a row{more}"
    queries = _to_come(found, route)
    planned = added(database.backend.planner.matches(connection, rows) for rows in queries)
    all_rows = found.table.rows
    by = "the planner's guess: it has no statistics" if all_rows is None else "the planner's estimate"
    estimate = planned
    if route.sampled is not None:
        estimate, by = route.sampled, "a sample of the table's first rows"
    many = all_rows is not None and all_rows > FEW
    if not spec.count and many and planned is not None and queries and not _computes(database, route):
        return estimate, by
    seconds = spec.statement_timeout.total_seconds() if spec.count else QUICK
    if (counted := added(facts.count_within(connection, rows, seconds) for rows in queries)) is not None:
        return counted, COUNTED
    return estimate, f"{by}: counting took too long" if spec.count else by


def _computes(database: Database, route: RunStrategy) -> bool:
    """Whether the condition computes something that may fail on a row; a short count tests that first."""
    if route.pinned.condition is None:
        return False
    tokens = tokenize(route.pinned.condition, database.backend.sql_functions.dialect)
    return any(
        tokens.at(i).written in {"/", "%"}
        or (tokens.at(i).written == "::" and tokens.at(i - 1).kind != "string")
        or (tokens.called(i) and tokens.at(i).operand and tokens.at(i + 2).kind != "string")
        for i in range(len(tokens.tokens))
    )


def _to_come(found: Inspection, route: RunStrategy) -> list[sa.Select[Any]]:
    """Return queries for the rows that match; if a run is continued, for those that it has not visited."""
    if isinstance(route.resume, ContinuedRun):
        again = (Range(None, None, route.resume.again),) if route.resume.again else ()
        cursors = (*(Cursor.loaded(worker.cursor) for worker in route.resume.run.workers), Cursor(again))
        return [rows for cursor in cursors for rows in route.strategy.ahead(cursor)]
    selection = Selection(found.table, route.pinned.condition)
    rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(found.table.clause)
    return [rows.where(selection.clause)]


def added(numbers: Iterable[int | None]) -> int | None:
    """Return the sum; None if one of the numbers is unknown."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


_BY_PLACE = "none: by place in the table (ctid)"


def _index(route: RunStrategy) -> str:
    return route.kind.found_by or (f"({', '.join(route.pinned.key)})" if route.pinned.key else _BY_PLACE)


def _rate(spec: BulkSpec, costs: Cost, estimate: int | None) -> Rate | None:
    """Return the lower of the rates that the user asked for; RefusedError if it is unknown what a row writes."""
    rates = [] if spec.max_rate is None else [spec.max_rate]
    if spec.max_bytes_rate is not None and estimate != 0:
        if costs.row_log is None:
            unknown = "it is not known how many rows match" if costs.log else "this server writes no binlog"
            raise RefusedError(f"--max-bytes-rate: {unknown}.", "use --max-rate in its place.")
        rates.append(spec.max_bytes_rate.of_rows(costs.row_log))
    return min(rates, key=lambda rate: rate.rows, default=None)


def _pacing_text(spec: BulkSpec, rate: Rate | None) -> str:
    aim = f"{spec.batch_size:,} rows per batch" if spec.batch_size else f"batches of {durations.show(spec.target_time)}"
    pause = f", {durations.show(spec.sleep)} pause after each" if spec.sleep else ""
    pause += f", a pause of {spec.nice:g} times its duration after each" if spec.nice else ""
    pause += f", at most {rate}" if rate else ""
    pause += f" (about {rate.rows:,.0f} rows/s)" if rate and rate.flag == "max-bytes-rate" else ""
    pause += f", with a share of the budget {shown_budget(spec.budget)}" if spec.budget else ""
    workers = f", {spec.workers} workers" if spec.workers > 1 else ""
    return aim + pause + workers


def _limits(spec: BulkSpec) -> str:
    limits = {
        "rows": spec.max_rows and f"{spec.max_rows:,} rows",
        "time": spec.max_time and durations.show(spec.max_time),
        "batches": spec.max_batches and f"{spec.max_batches:,} batches",
        "window": spec.window and f"the hours {spec.window.start:%H:%M}-{spec.window.end:%H:%M}",
    }
    return " or ".join(str(limit) for limit in limits.values() if limit)


def _kept(run: Run) -> str:
    """Return the words that the run does not evaluate its sub-selects again, if that would give other values."""
    return f'; keeps the values that it read from "{run.table}" at its start' if run.pinned.get("reads_own") else ""


def _goes_on(resume: Resume) -> str | None:
    match resume:
        case ContinuedRun(run, again):
            more = f"; {len(again):,} rows that it could not change are tried again" if again else ""
            return f"continues run {run.run} ({run.state}), {run.rows:,} rows done so far{more}{_kept(run)}"
        case AlreadyDone(run):
            return f"already done by run {run.run}: nothing to do unless --restart"
        case NewRun(behind=Run() as run):
            return f"starts where run {run.run} ended ({run.state}), then continues from the start up to that point"
        case NewRun(because=why) if why:
            return f"starts from the beginning: {why[0].lower()}{why[1:]}"
        case _:
            return None
