"""Prepares a bulk job: from a spec to a plan."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.children.of_run import children_of, names_rows
from batchops.bulk.job import BulkJob
from batchops.bulk.maintenance import refuse_what_cannot_be_had
from batchops.bulk.partition_plan import detached_warnings, plan_partitions
from batchops.bulk.plan.analysis import QUICK, RunStrategy, describe, probed, several_workers
from batchops.bulk.plan.checks import own_table, refusals
from batchops.bulk.plan.checks.context import CheckContext
from batchops.bulk.plan.inspection import Inspection, inspect_table
from batchops.bulk.plan.own_reads import JobReads
from batchops.bulk.plan.pinned import Pinned, pin, time_column, without_nulls
from batchops.bulk.plan.plan import BulkPlan
from batchops.bulk.plan.referenced_rows import count_excluded, without_referenced
from batchops.bulk.plan.unset_times import AgeColumn
from batchops.bulk.previous_run import PreviousRun, find_previous_run
from batchops.bulk.rows_out import Preparing
from batchops.bulk.run_strategy import choose, only_begun, operation_of, start, strategy_of
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies import strategy_kind
from batchops.bulk.strategies.id_file import IdFile, id_file, shown_name
from batchops.bulk.strategies.strategy import Choice, Situation
from batchops.bulk.user_mistakes import mistakes_named
from batchops.bulk.verb import BulkVerb
from batchops.db.catalog import Server
from batchops.db.database import Database
from batchops.errors import RefusedError
from batchops.finished_details import Listed
from batchops.ledger.last_run import LastRun
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE, open_ledger
from batchops.ledger.resume import AlreadyDone, ContinuedRun, NewRun, Resume, resume, same_order, unchanged
from batchops.ledger.row_lists import obstacle
from batchops.runtime.refusal import Refusal
from batchops.runtime.retry import retrying
from batchops.spec.command_line import command
from batchops.spec.settings import MOST_WORKERS, reached
from batchops.spec.verb import DIRECT, RecipeCall
from batchops.sql.selection import Selection


@contextmanager
def prepare_bulk(
    verb: BulkVerb, spec: BulkSpec, environ: Mapping[str, str], *, recipe: RecipeCall = DIRECT
) -> Iterator[BulkJob]:
    """Reach the database and plan the job, without writing anything; BatchopsError if that is impossible."""
    with (
        reached(spec, environ) as database,
        open_ledger(spec.ledger, spec.ledger_schema, database, environ, MOST_WORKERS) as ledger,
        id_file(spec.ids) as ids,
    ):
        yield retrying(spec.retry_timeout.total_seconds(), lambda: _prepare(verb, spec, database, ledger, recipe, ids))


def _prepare(
    verb: BulkVerb, spec: BulkSpec, database: Database, ledger: Ledger, recipe: RecipeCall, ids: IdFile | None
) -> BulkJob:  # fmt: skip
    with mistakes_named(spec), database.reading() as connection:
        found = inspect_table(connection, database, verb, spec, ids)
        _applied_once(ledger, found)
        previous = find_previous_run(connection, database, ledger, verb, spec, found)
        route = _route(connection, verb, spec, database, ledger, found, previous.last)
        found = _with_unset_time_warnings(connection, database, spec, found, route)
        out = verb.rows_out(Preparing(connection, database, ledger, verb, spec, found, route))
        plan = _plan(connection, verb, spec, database, ledger, found, previous, route)
        whole = plan_partitions(connection, database, ledger, verb, spec, found.table, route.pinned)
        labels = tuple(leaf.label for leaf in whole.droppable)
        plan = replace(plan, droppable=labels, dropping=whole.facts, out=out.facts)
        plan = replace(
            plan, refusals=(*plan.refusals, *out.refusals, *whole.refusals), warnings=(*plan.warnings, *out.warnings)
        )
        refuse_what_cannot_be_had(connection, database, found.table, spec)
        children = children_of(connection, database, spec, found, route.pinned)
    return BulkJob(
        spec, database, ledger, found.key, route, previous, plan,
        to_drop=whole.drops,
        done=route.resume.run if isinstance(route.resume, AlreadyDone) else None,
        repeatable=found.parsed.repeatable,
        workers=spec.workers if several_workers(database, route) else 1,
        next=recipe.command or command(verb.command, spec, database.address.bare), recipe_job=recipe.job,
        out=out, children=children,
        again=lambda: _prepare(verb, spec, database, ledger, recipe, ids),
    )  # fmt: skip


def _plan(
    connection: sa.Connection, verb: BulkVerb, spec: BulkSpec, database: Database, ledger: Ledger, found: Inspection,
    previous: PreviousRun, route: RunStrategy,
) -> BulkPlan:  # fmt: skip
    """Return the plan with its refusals and warnings."""
    statements = probed(connection, database, found, route)
    plan = describe(connection, database, verb, spec, found, route, statements, previous.last)
    context = CheckContext(connection, database, verb, spec, found, route, statements, plan.estimate)
    refused = list(refusals(context))
    if not found.forbidden:  # else there is enough to report
        refused += _ledger_refusals(ledger, found.server, route)
    left_detached = detached_warnings(connection, ledger, found.table) if database.backend.partitions else ()
    return replace(
        plan,
        left_out=tuple(count_excluded(connection, database, found.table, route.pinned, QUICK)),
        refusals=tuple(refused),
        warnings=(
            *database.address.warnings, *_ledger_warnings(spec, ledger), *previous.warnings,
            *_table_warnings(spec, previous, route.resume), *_ids_warnings(spec, route.pinned.listed),
            *found.facts.warnings, *left_detached,
        ),
    )  # fmt: skip


def _ledger_refusals(ledger: Ledger, server: Server, route: RunStrategy) -> Iterator[Refusal]:
    """Yield a refusal if the role cannot write its progress to the ledger: else only the run would find out."""
    found = None
    if not ledger.in_target:
        with ledger.database.reading() as connection:
            server = ledger.database.backend.catalog.server(connection)
        found = server.refusal(ledger.database.address.shown)
    found = found if server.read_only else ledger.obstacle(server.role)
    if found is None and route.kind.evaluates_once and route.pinned.row_list is None and not server.read_only:
        found = obstacle(ledger, server.role)
    if found is not None:
        yield Refusal("ledger", found.message, found.hint)


def _applied_once(ledger: Ledger, found: Inspection) -> None:
    """Raise RefusedError for work that must be applied once, if the ledger is elsewhere: a crash repeats a batch."""
    if not ledger.in_target and not found.parsed.repeatable:
        raise RefusedError(
            "With the ledger elsewhere this backfill could be applied twice to the same rows.",
            "keep the ledger in the database itself, or use values that read none of the columns that are set.",
        )


def _route(
    connection: sa.Connection,
    verb: BulkVerb,
    spec: BulkSpec,
    database: Database,
    ledger: Ledger,
    found: Inspection,
    last: LastRun | None,
) -> RunStrategy:
    purge = verb.removes
    resumed = resume(
        last, repeatable=found.parsed.repeatable, purge=purge, restart=spec.restart, same_table=spec.same_table
    )
    if isinstance(resumed, ContinuedRun):
        follows = strategy_kind(resumed.run.strategy).follows
        unchanged(resumed.run, strategy=spec.strategy, key=spec.key, follows=follows)
        if not spec.same_table:
            same_order(resumed.run, found.table.types_of(resumed.run.pinned["key"]))
        pinned, why, sampled = Pinned.of(resumed.run.pinned), f"as run {resumed.run.run} began", None
    else:
        pinned, chosen = _pin(connection, database, ledger, found, verb, spec)
        why, sampled = chosen.why, chosen.sampled
        resumed = _comparable(resumed, pinned)
    strategy = strategy_of(connection, database, found.table, pinned, found.ids, look_again=spec.look_again)
    operation = operation_of(verb, pinned)
    reads = JobReads(connection, database, verb.right, found.table, found.facts, pinned).besides
    return RunStrategy(pinned, why, strategy, operation, resumed, start(connection, strategy, resumed), sampled, reads)


def _pin(
    connection: sa.Connection, database: Database, ledger: Ledger, found: Inspection, verb: BulkVerb, spec: BulkSpec
) -> tuple[Pinned, Choice]:
    now = pin(connection, database, found.server, found.table, spec, found.parsed, found.facts.references)
    now = without_nulls(database, now, found.table, found.key)
    selection = Selection(found.table, now.condition)
    reads = JobReads(connection, database, verb.right, found.table, found.facts, now, found.graph)
    unstable = own_table.CHECK.name not in spec.allow and (bool(reads.set_by_keys) or any(reads.changing()))
    situation = Situation(
        connection, database.backend, selection, found.key, not verb.removes, spec.strategy, found.ids, unstable,
        keeps_lists=ledger.in_target, named=spec.names_rows or names_rows(found, spec),
    )  # fmt: skip
    chosen = choose(situation)
    if found.ids is not None:
        now = replace(now, listed=Listed(found.ids.entries, found.ids.entries - found.ids.found))
    elif verb.removes and found.graph is None:
        now = without_referenced(database, now, found.table, found.facts.references, reads.changed)
    if strategy_kind(chosen.strategy).evaluates_once:
        own = [(one.columns, one.referred) for one in found.facts.references if verb.removes and one.sets_own]
        now = replace(now, stored=tuple(reads.stored()), sets_own=tuple(own), reads_own=True)
    return now.by(chosen, found.table), chosen


def _with_unset_time_warnings(
    connection: sa.Connection, database: Database, spec: BulkSpec, found: Inspection, route: RunStrategy
) -> Inspection:  # fmt: skip
    """Add a warning about rows without a time that the cut-off matches."""
    column, condition = time_column(found.table, spec), route.pinned.condition
    if column is None or condition is None or isinstance(route.resume, ContinuedRun):
        return found
    unset = AgeColumn(database, found.table, column, condition).warnings(connection, QUICK)
    return replace(found, facts=replace(found.facts, warnings=(*found.facts.warnings, *unset)))


def _comparable(resume: Resume, pinned: Pinned) -> Resume:
    """Drop the cursor of a run with another strategy or key, as it means nothing here; nothing is lost by that.

    Rows that the run has begun are kept if the key is the same.
    """
    if not isinstance(resume, NewRun) or resume.behind is None:
        return resume
    before = Pinned.of(resume.behind.pinned)
    same = (before.strategy, before.key, before.key_types) == (pinned.strategy, pinned.key, pinned.key_types)
    same_key = (before.key, before.key_types) == (pinned.key, pinned.key_types)
    return resume if same else replace(resume, behind=only_begun(resume.behind) if same_key else None)


def _ledger_warnings(spec: BulkSpec, ledger: Ledger) -> tuple[str, ...]:
    if spec.ledger == NONE:
        return ("Without a ledger a run cannot be continued, and a second run at the same time is not noticed.",)
    if not ledger.in_target:
        return (
            "With the ledger elsewhere, rows and checkpoint are two commits: after a crash, a batch may be done twice.",
        )
    return ()


def _ids_warnings(spec: BulkSpec, listed: Listed | None) -> Iterator[str]:
    """Yield a warning about ids that change nothing."""
    if listed is not None and not listed.ids:
        yield f"{shown_name(spec.ids)} holds no ids."
    elif listed is not None and listed.not_there:
        yield f'Not in "{spec.table}": {listed.not_there:,} of the {listed.ids:,} ids in {shown_name(spec.ids)}.'


def _table_warnings(spec: BulkSpec, previous: PreviousRun, resume: Resume) -> tuple[str, ...]:
    """Warnings about changes to the table since the last run."""
    last = previous.last
    if last is None or spec.restart:
        return ()
    if isinstance(resume, NewRun) and resume.because:
        return (f"{resume.because} This run starts from the beginning.",)
    if last.table != "rewritten" or isinstance(resume, NewRun) or spec.same_table:
        return ()
    return (
        f'Table "{last.run.table}" was rewritten since run {last.run.run} (TRUNCATE, VACUUM FULL, CLUSTER, ALTER). '
        "If its rows are new, use --restart.",
    )
