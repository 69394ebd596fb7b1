"""Prepares a restore: makes a plan and a job from a spec, and writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from batchops.archive.column_match import Matched, match
from batchops.archive.contents import Contents, contents, refuse_damage
from batchops.archive.destination import Destination, open_destination
from batchops.archive.formats import format_of_name
from batchops.archive.in_use import reading
from batchops.archive.pruning import FoundPruned
from batchops.archive.records import ArchivedTable
from batchops.db.database import Database
from batchops.db.signals import run_scope
from batchops.db.table import Table, TableIdentity
from batchops.errors import RefusedError
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import open_ledger
from batchops.restore.create import new_table
from batchops.restore.found import Found, condition_of, find, identity, key_of
from batchops.restore.job import Ready, RestoreJob
from batchops.restore.parents_first import own_references
from batchops.restore.plan import dropped, plan_of
from batchops.restore.previous import Work, job_key, work_of
from batchops.restore.rows_back import Target
from batchops.restore.source import Place
from batchops.restore.spec import RestoreSpec
from batchops.restore.table_order import Later, TableOrder, parents_first
from batchops.runtime.refusal import refuse
from batchops.runtime.retry import retrying
from batchops.spec.command_line import command
from batchops.spec.settings import reached
from batchops.spec.verb import DIRECT, RecipeCall, Verb
from batchops.throttles.chosen import ChosenThrottle, chosen


@contextmanager
def prepare_restore(
    spec: RestoreSpec, environ: Mapping[str, str], *, recipe: RecipeCall = DIRECT
) -> Iterator[RestoreJob]:  # fmt: skip
    """Read the archive and the database, and yield the job; raise BatchopsError if it cannot be prepared."""
    destination = open_destination(spec.destination)
    with reading(destination):
        yield from _prepared(spec, environ, destination, recipe)


def _prepared(
    spec: RestoreSpec, environ: Mapping[str, str], destination: Destination, recipe: RecipeCall
) -> Iterator[RestoreJob]:  # fmt: skip
    inside = contents(destination)
    refuse_damage(destination, inside)
    with (
        reached(spec, environ) as database,
        open_ledger(spec.ledger, spec.ledger_schema, database, environ) as ledger,
    ):
        timeout = spec.retry_timeout.total_seconds()
        yield retrying(timeout, lambda: _prepare(spec, database, ledger, destination, inside, recipe))


def _prepare(
    spec: RestoreSpec, database: Database, ledger: Ledger, destination: Destination, inside: Contents,
    recipe: RecipeCall,
) -> RestoreJob:  # fmt: skip
    with database.reading() as connection:
        server = database.backend.catalog.server(connection)
        if (unwritable := server.refusal(database.address.shown)) is not None:
            raise unwritable
        order = parents_first(connection, database, find(connection, spec, database, destination, inside))
        found = order.found
        _import_formats(found)
        pruned = {part.name: one for one in inside.pruned for part in one.run.segments}
        work = _work(connection, ledger, order, spec, database, pruned)
        tables = [one.table for one in found if one.table is not None]
        watched = _watched(connection, spec, database, tables[0], server.role) if tables else ()
        plan = plan_of(connection, VERB, spec, database, found, inside, work, watched)
        plan = replace(plan, refusals=(*plan.refusals, *order.refusals))
    for one in found if not plan.refusals else ():
        _check_rights(database, server.role, one, order.later)
    if ledger.in_target and (obstacle := ledger.obstacle(server.role)) is not None:
        raise obstacle

    def identify() -> str:
        with ledger.database.reading() as connection:
            return job_key(ledger.database_id(connection), identity(VERB.name, spec, found))

    again = recipe.command or command(VERB.command, spec, database.address.bare)
    return RestoreJob(
        spec, database, destination, ledger, plan, work, identify,
        lambda: _ready(spec, database, found, server.role), again, recipe.job,
    )  # fmt: skip


def _check_rights(database: Database, role: str, found: Found, later: Later) -> None:
    if found.table is None:
        return
    needs: list[tuple[str, Sequence[str]]] = [("INSERT", ())] if found.segments else []
    columns = {name for one in found.nulled for name in one.table.nulled}.union(later.get(found.label, ()))
    needs += [("UPDATE", sorted(columns.intersection(found.table.column_names)))] if columns else []
    missing = database.missing_right(found.table, role, needs)
    if missing is not None:
        raise missing.refusal(database.engine.dialect)


def _import_formats(found: Sequence[Found]) -> None:
    """Raise UsageError if the library for a file is missing. This also imports it before the run, as that is slow."""
    for format in {format_of_name(one.listed.name) for table in found for one in (*table.segments, *table.nulled)}:
        assert format is not None  # every segment's name has a format
        format.of(())


def _work(
    connection: sa.Connection, ledger: Ledger, order: TableOrder, spec: RestoreSpec, database: Database,
    pruned: Mapping[str, FoundPruned],
) -> Work:  # fmt: skip
    """Return the work that is left; all of it if a table is not the one that the last run filled."""
    found, later = order.found, order.later
    own = {one.label: own_references(connection, database, one.table) if one.table is not None else () for one in found}
    own = {label: references for label, references in own.items() if references}
    segments = tuple(segment for one in found for segment in one.segments)
    # Those of later runs first: a column that is set once is not set again.
    nulled = tuple(reversed([segment for one in found for segment in one.nulled]))
    whole = Work(segments, Place(), references=own, later=later, nulled=nulled)
    with ledger.database.reading() as reading:
        if ledger.state(reading) != "current":
            return work_of(reading, ledger, "", whole, restart=True)
        key = job_key(ledger.database_id(reading), identity(VERB.name, spec, found))
        last = ledger.latest(reading, key)
        filled = {} if last is None else last.pinned.get("tables", {})
        another = any(
            _is_other_table(connection, database, one, filled[one.label]) for one in found if one.label in filled
        )
        return work_of(reading, ledger, key, whole, restart=spec.restart or another, pruned=pruned)


def _is_other_table(connection: sa.Connection, database: Database, found: Found, filled: str | None) -> bool:
    """Whether the table is gone, or is another than the one that was filled."""
    if found.table is None:
        return True
    return database.backend.catalog.table_identity(connection, found.table).is_another_than(TableIdentity(filled))


def _watched(
    connection: sa.Connection, spec: RestoreSpec, database: Database, table: Table, role: str
) -> tuple[ChosenThrottle, ...]:  # fmt: skip
    scope = run_scope(role, table, spec.replicas, database)
    return tuple(chosen(connection, database, spec.throttles, scope))


def _ready(spec: RestoreSpec, database: Database, found: Sequence[Found], role: str) -> Ready:
    """Make missing tables; return the targets, and how archived columns map to them."""
    with database.transaction() as connection:
        for one in found:
            if one.table is None:
                connection.execute(new_table(one.whole, one.schema, one.name, database.backend.row_loading))
    targets: dict[str, Target] = {}
    matched: dict[ArchivedTable, Matched] = {}
    with database.reading() as connection:
        for one in found:
            targets[one.label] = target = _target(connection, spec, database, one)
            for archived in one.tables:
                matched[archived], refusals = match(
                    archived, target.table, target.columns, database.backend.row_loading
                )
                refuse([*refusals, *dropped(spec, archived, target.columns, target.table.label)])
            for archived in {segment.table for segment in one.nulled}:
                matched[archived], refusals = match(
                    archived, target.table, target.columns, database.backend.row_loading
                )
                refuse([refusal for refusal in refusals if refusal.check == "types"])
        tables = [target.table for target in targets.values()]
        watched = _watched(connection, spec, database, tables[0], role)
        known = {
            label: database.backend.catalog.table_identity(connection, one.table) for label, one in targets.items()
        }
    return Ready(targets, matched.__getitem__, watched, {label: one.table for label, one in known.items()})


def _target(connection: sa.Connection, spec: RestoreSpec, database: Database, found: Found) -> Target:
    table = found.table or database.backend.catalog.find(connection, found.schema, found.name)
    if table is None:
        raise RefusedError(f'Table "{found.into}" was made and is not there.', "look who removed it.")
    columns = tuple(database.backend.exact_columns.columns(connection, table))
    condition = condition_of(spec, database, table.label, found.archived)
    key = key_of(table, found.archived)
    # Rows without a key cannot be there already: the plan refuses what would insert them twice.
    return Target(table, columns, key, spec.on_conflict if key else "fail", condition)


VERB = Verb(
    name="restore",
    spec=RestoreSpec,
    help="Put the rows that are archived in DESTINATION back into their tables, or into new ones, in small "
    "transactions.\n\nbatchops shows the plan and asks first. Each file is compared with its record before a row of "
    "it is used, and values come back as they were. The same command continues a run that stopped; once it is done, "
    "it restores only what was archived since.\n\nExample: batchops restore backup/events --into events_2013",
    participle="restored",
    prepare=prepare_restore,
    asks=True,
)
