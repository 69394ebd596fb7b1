"""Finds out, by reading alone, what a job would do."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.family import Server
from batchops.db.table import Key, Table
from batchops.errors import RefusedError
from batchops.operations import Operation
from batchops.plan.frozen import Frozen, Wishes, check
from batchops.plan.plan import Plan
from batchops.plan.target import find_key, find_table
from batchops.resume import AlreadyDone, GoOn, Resume
from batchops.selection import Selection
from batchops.specs import JobSpec
from batchops.walks import Walk
from batchops.walks.cursor import Cursor
from batchops.walks.part import Part

SELECTED = "(of a SELECT of the same rows: this server explains no DELETE or UPDATE where nothing may be written)"
RIGHTS = {"purge": "DELETE", "backfill": "UPDATE"}


@dataclass(frozen=True)
class Sketch:
    """The job before its moment is frozen."""

    server: Server
    table: Table
    key: Key | None
    """The unique key to follow; None: the table has none that can be."""
    wishes: Wishes


def sketch(connection: sa.Connection, database: Database, verb: str, spec: JobSpec) -> Sketch:
    """Table, key and expressions, checked; refused where this server or role cannot write."""
    server = database.family.server(connection)
    table = find_table(connection, database.family, spec.table)
    if table.kind not in ("table", "partitioned"):
        raise RefusedError(f'"{table.label}" is a {table.kind}, not a table.', "name the table behind it.")
    key = find_key(database.family, table, spec.key)
    wishes = check(database, table, spec, key.columns if key else ())
    if server.read_only:
        raise RefusedError(f"The server is read-only ({database.address.shown}).", "connect to the primary.")
    if right := database.family.missing_rights(connection, table, RIGHTS[verb]):
        raise RefusedError(
            f'Role "{server.role}" has no right to {right} on table "{table.label}".',
            f"grant it: GRANT {right} ON {table.label} TO …",
        )
    return Sketch(server, table, key, wishes)


@dataclass(frozen=True)
class Route:
    """What was frozen, the walk that follows it and where it begins, and what is done on the way."""

    frozen: Frozen
    why: str
    walk: Walk
    operation: Operation
    resume: Resume
    cursor: Cursor


def describe(connection: sa.Connection, database: Database, verb: str, found: Sketch, route: Route) -> Plan:
    """The plan; the server has understood every statement in it, or a UsageError says what it did not."""
    selection = Selection(found.table, route.frozen.predicate)
    counted: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(found.table.clause).where(selection.clause)
    part = route.walk.first(connection, route.cursor) or Part(selection, sa.true(), route.cursor, 0)
    statement = route.operation.statement(part)
    explainable = statement if database.family.explains_writes else route.operation.rehearsal(part)
    explain = database.family.explain(connection, explainable)
    return Plan(
        verb=verb,
        database=database.address.shown,
        server=found.server,
        table=found.table,
        frozen=route.frozen,
        walk=route.frozen.walk,
        why=route.why,
        estimate=database.family.matches(connection, counted),
        statement=_shown(database, statement),
        explain=(*(() if explainable is statement else (SELECTED,)), *explain),
        goes_on=_goes_on(route.resume),
    )


def _shown(database: Database, statement: Any) -> str:
    """The statement as one line, its values in place where their types can be written as literals."""
    dialect = database.engine.dialect
    try:
        text = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except (sa.exc.CompileError, NotImplementedError):
        text = str(statement.compile(dialect=dialect))
    if dialect.paramstyle in ("format", "pyformat"):
        text = text.replace("%%", "%")  # doubled for the driver only
    return " ".join(text.split())


def _goes_on(resume: Resume) -> str | None:
    match resume:
        case GoOn(run, _):
            return f"goes on with run {run.run} ({run.state}), {run.rows:,} rows done so far"
        case AlreadyDone(run):
            return f"done by run {run.run} already: nothing to do unless --restart"
        case _ if resume.behind is not None:
            return f"begins where run {resume.behind.run} ended ({resume.behind.state}), round to there again"
        case _:
            return None
