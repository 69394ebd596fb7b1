"""The checks of a graph, table by table: unchosen actions, circles that nothing breaks, rights, indexes, triggers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchops.bulk.children.graph import Edge, Graph, name_of
from batchops.bulk.children.shape import names_locked_rows, no_key
from batchops.bulk.plan.checks import cascades, fk_index, rls, triggers
from batchops.bulk.plan.checks.context import CheckContext, CheckRefusal
from batchops.db.facts import OtherTable, Reference, TableFacts, TableName, fired_by
from batchops.db.lookup import find_key
from batchops.db.rights import MissingRight
from batchops.db.table import Table
from batchops.errors import RefusedError
from batchops.runtime.refusal import Refusal


@dataclass
class _Use:
    """What a purge does to one table of the graph, beside the root's own rows."""

    table: Table
    deletes: bool
    reads: set[str] = field(default_factory=set)
    nulls: set[str] = field(default_factory=set)

    @property
    def changes(self) -> bool:
        return self.deletes or bool(self.nulls)


def forbidden(context: CheckContext, graph: Graph) -> Iterator[Refusal]:
    """Yield the refusals that nothing overrides."""
    yield from (_unchosen(edge) for edge in graph.edges if not edge.chosen)
    for component in graph.components:
        if component.unbreakable:
            circle = ", ".join(edge.label for edge in component.unbreakable)
            yield Refusal(
                "children",
                f"These tables refer to each other in a circle that nothing breaks: {circle}. No column of it can be "
                "NULL, and no constraint of it can be deferred.",
                "make one column nullable or one constraint DEFERRABLE, or leave a table out by --stop-at.",
            )
    uses = _uses(graph)
    mark = context.found.mark
    for missing in _missing_rights(context, uses, [] if mark is None else [mark.column]):
        yield Refusal("right", missing.message, missing.hint(context.database.engine.dialect))
    facts = context.database.backend.facts.guards(context.connection, [use.table for use in uses.values()])
    for name, use in uses.items():
        yield from _unusable(context, graph, use, facts[name])


def overridable(context: CheckContext, graph: Graph) -> Iterator[tuple[str, CheckRefusal]]:
    """Yield the refusals that --allow overrides, each under the check's name."""
    yield from (("fk-index", one) for one in _without_index(context, graph))
    yield from (("cascades", one) for one in cascades.unseen(context))
    uses = _uses(graph)
    facts = context.database.backend.facts.guards(context.connection, [use.table for use in uses.values()])
    for name, use in uses.items():
        yield from _of_table(context, use, facts[name])


def _unchosen(edge: Edge) -> Refusal:
    what = "It is declared, so no rule of the catalogue says it" if edge.declared else f"The catalogue says {edge.why}"
    return Refusal(
        "children",
        f"What happens to the rows of {edge.source}, which refer to {edge.parent.label}, has to be chosen. {what}.",
        f'--edge "{edge.source} = delete"{", or null," if edge.nullable else ""} or refuse.',
    )


def _uses(graph: Graph) -> dict[TableName, _Use]:
    """Return what the purge does to each table; for the root only what happens to it as a child."""
    uses = {name_of(table): _Use(table, deletes=True) for table in graph.tables}
    for edge in graph.edges:
        use = uses.setdefault(name_of(edge.child), _Use(edge.child, deletes=False))
        use.reads.update(edge.columns)
        if edge.action == "null":
            use.nulls.update(edge.nulls)
        if edge.action == "delete" or name_of(edge.parent) in uses:
            uses[name_of(edge.parent)].reads.update(edge.referred)
    for component in graph.components:
        for edge in component.breaks:
            uses[name_of(edge.child)].nulls.update(edge.nulls)
    return uses


def _missing_rights(
    context: CheckContext, uses: Mapping[TableName, _Use], marked: Sequence[str]
) -> Iterator[MissingRight]:  # fmt: skip
    """Yield the first right that is missing on each table; the rights for the root's own rows are checked elsewhere."""
    server, database = context.found.server, context.database
    if server.read_only:
        return
    with database.explaining() as connection:
        rights = database.backend.rights
        for name, use in uses.items():
            needs = [("SELECT", sorted(use.reads))]
            needs += [("DELETE", [])] if use.deletes else []
            is_root = name == name_of(context.table)
            written = sorted({*use.nulls, *(marked if is_root else ())})
            needs += [("UPDATE", written)] if written else []
            for right, columns in needs[2:] if is_root else needs:
                missing = rights.missing(connection, use.table, right, columns)
                if missing is not None:
                    account = rights.account(connection.dialect, server.role)
                    yield MissingRight(right, missing, use.table, server.role, account)
                    break


def _unusable(context: CheckContext, graph: Graph, use: _Use, facts: TableFacts) -> Iterator[Refusal]:
    table = use.table
    if name_of(table) == name_of(context.table) or not use.changes:
        return
    # Rows to which nothing refers are deleted by what they refer to: they need no key.
    if use.deletes and graph.to(table) and (reason := _no_key(context, graph, table)) is not None:
        yield Refusal("no-key", *no_key(graph, table, reason))
    if not facts.transactional:
        yield Refusal(
            "engine",
            f'Table "{table.label}" does not support transactions: parents and children cannot be one commit.',
            "ALTER TABLE … ENGINE=InnoDB.",
        )
    if facts.unnamed_rows:
        yield Refusal(
            "children",
            f'"{table.label}" is published without a replica identity, so the server refuses to change its rows.',
            f"ALTER TABLE {table.label} REPLICA IDENTITY USING INDEX …, or FULL.",
        )


def _no_key(context: CheckContext, graph: Graph, table: Table) -> str | None:
    if names_locked_rows(context.database.backend, graph, table):
        return None
    try:
        found = find_key(context.database.backend, table, None)
    except RefusedError as error:
        return "has " + error.message.partition(" has ")[2].rstrip(".")
    return None if found is not None else "has no primary key or unique index without NULLs"


def _without_index(context: CheckContext, graph: Graph) -> Iterator[CheckRefusal]:
    for edge in graph.edges:
        if edge.indexed or not fk_index.slow(context, _reference(edge), edge.condition):
            continue
        yield CheckRefusal(
            f'"{edge.child.label}" refers to "{edge.parent.label}" by {", ".join(edge.columns)} without an index: '
            "each batch of parents would scan the whole table.",
            edge.index or "",
        )


def _reference(edge: Edge) -> Reference:
    return Reference(
        child=OtherTable(edge.child.schema, edge.child.name, edge.child.rows),
        columns=edge.columns,
        parent=OtherTable(edge.parent.schema, edge.parent.name, edge.parent.rows),
        referred=edge.referred,
        on_delete=edge.on_delete,
        on_update="",
        indexed=edge.indexed,
    )


def _of_table(context: CheckContext, use: _Use, facts: TableFacts) -> Iterator[tuple[str, CheckRefusal]]:
    """Yield the refusals for one table. The checks themselves look at the root's own DELETE."""
    table, role = use.table, context.found.server.role
    is_root = name_of(table) == name_of(context.table)
    firing = fired_by(facts.triggers, "DELETE") if use.deletes and not is_root else []
    if use.nulls:
        firing += fired_by(facts.triggers, "UPDATE", frozenset(use.nulls))
    yield from (("triggers", one) for one in triggers.fires(firing))
    borrowed = [f'"{one.name}" (of {one.author})' for one in firing if one.author is not None]
    if facts.superuser and borrowed:
        yield (
            "superuser",
            CheckRefusal(
                f'Role "{role}" is a superuser, and the job would run code of other roles on "{table.label}" with its '
                f"rights: {', '.join(borrowed)}.",
                "connect as the table's owner",
            ),
        )
    if is_root:
        return
    if facts.hides_rows:
        yield "rls", rls.hidden(table.label, role)
    for part in facts.foreign_parts if use.changes else ():
        yield (
            "foreign-table",
            CheckRefusal(
                f'Partition "{part}" of "{table.label}" is on another server: parents and children cannot be one '
                "commit.",
                "leave the table out by --stop-at, and purge it there",
            ),
        )
