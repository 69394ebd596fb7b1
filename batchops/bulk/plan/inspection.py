"""Finds out about a job what is known before its time functions are pinned."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sqlalchemy as sa

from batchops.bulk.children.circles import held_warning, warnings_of_circles
from batchops.bulk.children.discover import graph_of
from batchops.bulk.children.graph import Graph
from batchops.bulk.children.mark import Mark, checked_mark
from batchops.bulk.plan.id_lookup import listed_ids
from batchops.bulk.plan.pinned import ParsedSpec, check
from batchops.bulk.plan.unseen_children import NOTHING_UNSEEN, UnseenChildren, unseen_children
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies.id_file import IdFile
from batchops.bulk.strategies.id_spool import IdList
from batchops.bulk.verb import BulkVerb
from batchops.db.backend import Backend
from batchops.db.catalog import Server
from batchops.db.database import Database
from batchops.db.facts import Reference, TableFacts
from batchops.db.lookup import find_key, find_table
from batchops.db.table import Key, Table
from batchops.errors import RefusedError
from batchops.runtime.refusal import Refusal


@dataclass(frozen=True)
class Inspection:
    """The table, the key and the expressions of a job, checked."""

    server: Server
    table: Table
    key: Key | None
    """The unique key to follow; None if the table has none that can be followed."""
    unusable: str
    """Why the table's keys cannot be followed, if it has some."""
    parsed: ParsedSpec
    facts: TableFacts
    forbidden: tuple[Refusal, ...]
    """Refusals that no --allow overrides."""
    ids: IdList | None = None
    """The rows that --ids names."""
    graph: Graph | None = None
    """The tables whose rows are deleted with these; None without --with-children."""
    mark: Mark | None = None
    """What --mark sets on the rows first."""
    unseen: UnseenChildren = NOTHING_UNSEEN

    @property
    def may_write(self) -> bool:
        """Whether this role may explain the writing statement."""
        return not any(refusal.check == "right" for refusal in self.forbidden)


def inspect_table(
    connection: sa.Connection, database: Database, verb: BulkVerb, spec: BulkSpec, file: IdFile | None = None
) -> Inspection:  # fmt: skip
    """Inspect the table and check the expressions; RefusedError if there is nothing to plan."""
    backend = database.backend
    server = backend.catalog.server(connection)
    table = find_table(connection, backend, spec.table)
    facts = backend.facts.of(connection, table)
    _refuse_view(backend, table, facts, verb, spec)
    if facts.unnamed_rows:
        raise RefusedError(
            f'"{table.label}" is published without a replica identity, so the server refuses to change its rows.',
            f"ALTER TABLE {table.label} REPLICA IDENTITY USING INDEX …, or FULL.",
        )
    if facts.hides_rows:  # else nothing could be planned; the check rls refuses the run
        backend.sessions.accept_hidden_rows(connection)
    key, unusable = _key(database, table, facts, verb, spec)
    parsed = check(database, table, spec, key.columns if key else ())
    forbidden = tuple(_forbidden(database, server, table, facts, verb, parsed))
    own = _refers_to_itself(backend, table, facts) if verb.removes and not spec.takes_children else ()
    facts = replace(facts, warnings=(*facts.warnings, *_followed(facts, parsed), *own))
    ids = listed_ids(connection, database, table, key, file, facts.nullable_keys) if file is not None else None
    graph = graph_of(connection, database, table, spec.asked_edges) if spec.takes_children else None
    if graph is not None:
        facts = replace(facts, warnings=(*facts.warnings, *warnings_of_circles(graph.edges, backend.foreign_keys)))
    if graph is not None and graph.empty:
        facts = replace(facts, warnings=(*facts.warnings, _nothing_refers(table)))
    mark = None
    if graph is not None and spec.mark_wanted is not None:
        mark = checked_mark(database, graph, spec.mark_wanted, key.columns if key else (), spec.params)
    removed = () if not verb.removes else (table,) if graph is None else graph.tables
    unseen = unseen_children(connection, database, removed)
    facts = replace(facts, warnings=(*facts.warnings, *unseen.warnings(verb)))
    return Inspection(server, table, key, unusable, parsed, facts, forbidden, ids, graph, mark, unseen)


def _nothing_refers(table: Table) -> str:
    return (
        f'Nothing refers to "{table.label}", as far as this role sees the catalogue: --with-children changes nothing. '
        '--child "TABLE.COLUMN -> …" declares what has no foreign key.'
    )


def _refers_to_itself(backend: Backend, table: Table, facts: TableFacts) -> Iterator[str]:
    """Yield a warning that says in which order the rows are deleted."""
    for reference in facts.references:
        if reference.restricts_own and _holds_circles(backend, table, reference):
            yield held_warning(table, reference.columns)
        if reference.restricts_own:
            yield (
                f'"{table.label}" refers to itself by {", ".join(reference.columns)}: rows go with those that refer to '
                "them, as far as these match too; a row that others need stays."
            )


def _holds_circles(backend: Backend, table: Table, reference: Reference) -> bool:
    nullable = any(table.column(name).nullable for name in reference.columns)
    return backend.foreign_keys.checks_each_row(reference.on_delete) and not nullable


def _followed(facts: TableFacts, parsed: ParsedSpec) -> Iterator[str]:
    """Yield a warning if the server itself changes further columns in an UPDATE."""
    sets = {assignment.column for assignment in parsed.assignments}
    names = [name for name in facts.follow_updates if sets and name not in sets]
    if names:
        kept = " ".join(f'--set "{name} = {name}"' for name in names)
        yield f"ON UPDATE sets {', '.join(names)} to the time of the batch; {kept} keeps the old value."


def _refuse_view(backend: Backend, table: Table, facts: TableFacts, verb: BulkVerb, spec: BulkSpec) -> None:
    if table.kind == "materialized view":
        raise RefusedError(
            f'"{table.label}" is a materialized view, whose rows come from other tables.',
            "change those, then REFRESH MATERIALIZED VIEW.",
        )
    if table.kind == "view" and not (
        verb.removes and backend.keys.limits_deletes and facts.base and "view" in spec.allow
    ):
        # --allow view is sound only if a DELETE can be limited: nothing identifies a view's rows.
        behind = f": {facts.base}" if facts.base else ""
        raise RefusedError(f'"{table.label}" is a view, not a table.', f"name the table behind it{behind}.")


def _key(database: Database, table: Table, facts: TableFacts, verb: BulkVerb, spec: BulkSpec) -> tuple[Key | None, str]:
    """Return the key, and why there is none. Only a purge works without a key.

    It may be a key with NULLs if the user names it, as a check covers that.
    """
    if spec.key is not None:
        every = replace(table, keys=(*table.keys, *facts.nullable_keys))
        return find_key(database.backend, every, spec.key), ""
    try:
        return find_key(database.backend, table, None), ""
    except RefusedError as error:
        if not verb.removes:
            raise
        return None, error.message.partition(" has ")[2].rstrip(".")


def _forbidden(
    database: Database, server: Server, table: Table, facts: TableFacts, verb: BulkVerb, parsed: ParsedSpec
) -> Iterator[Refusal]:  # fmt: skip
    if (unwritable := server.refusal(database.address.shown)) is not None:
        yield Refusal("read-only", unwritable.message, unwritable.hint)
    written = [one.column for one in parsed.assignments]
    needs = [("SELECT", table.column_names), (verb.right, written)]
    # A server that is read-only may not even begin a transaction in which a write could be explained.
    missing = None if server.read_only else database.missing_right(table, server.role, needs)
    if missing is not None and missing.right == "SELECT":
        raise missing.refusal(database.engine.dialect)  # without it nothing can be planned
    if missing is not None:
        yield Refusal("right", missing.message, missing.hint(database.engine.dialect))
    if not facts.transactional and not parsed.repeatable:
        yield Refusal(
            "engine",
            f'Table "{table.label}" does not support transactions: after a failure this backfill could be applied '
            "twice.",
            "ALTER TABLE … ENGINE=InnoDB, or use values that read none of the columns that are set.",
        )
