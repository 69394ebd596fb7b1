"""The tables whose rows are archived: the one that was named, and with --with-children those below it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.records import ArchivedTable
from batchops.bulk.children.graph import Edge, Graph, columns_text, name_of
from batchops.bulk.children.shape import set_again_by
from batchops.bulk.rows_out import Preparing
from batchops.db.exact_columns import ExactColumn, ExactKind, refused
from batchops.db.row_lines import RowLines
from batchops.db.table import Table
from batchops.errors import RefusedError, RowRefusedError
from batchops.ledger.resume import ContinuedRun
from batchops.runtime.refusal import Refusal


@dataclass(frozen=True)
class PlannedTable:
    """A table whose rows are archived."""

    table: Table
    columns: tuple[ExactColumn, ...]
    """The columns that are archived."""
    every_column: tuple[str, ...]
    """All columns that the table has."""
    format: RowFormat
    read_first: bool = False
    """Whether its rows refer to each other, directly or in a circle. Then other statements may change them, or cascade
    to them, before one deletes them."""
    nulled: tuple[str, ...] = ()
    """See `ArchivedTable`."""
    root: bool = False
    """Whether it is the table that the user named."""

    def refuse_inexact(self, block: bytes) -> None:
        """Raise RowRefusedError for a row that would come back as another."""
        inexact = self.format.inexact(block)
        if inexact:
            other = "" if self.root else f"{self.table.label}."
            raise RowRefusedError(
                f"{other}{inexact[0].column}: {inexact[0].reason}, and would come back as another value"
            )

    def archived(self, family: str) -> ArchivedTable:
        """Return the table as its files describe it."""
        names = {column.name for column in self.columns}
        key = set_again_by(self.table) if self.nulled else self.table.known_by
        return ArchivedTable(
            self.table.label, self.columns, tuple(name for name in key if name in names), family, self.nulled
        )

    @property
    def pinned(self) -> dict[str, Any]:
        """What the process that continues the run must know of the table."""
        return {"columns": [asdict(column) for column in self.columns], "every_column": list(self.every_column)}


def pinned_columns(table: Table, kept: Mapping[str, Any]) -> tuple[ExactColumn, ...]:
    """Return the columns of the run that is continued; RefusedError if the table has other columns by now."""
    columns = tuple(ExactColumn(**(one | {"kind": ExactKind(one["kind"])})) for one in kept["columns"])
    changed = set(kept["every_column"]).symmetric_difference(table.column_names)
    if changed:
        raise RefusedError(
            f'The columns of "{table.label}" changed since the run began: {", ".join(sorted(changed))}.',
            "--restart begins a run with the columns as they are now; what is archived stays archived.",
        )
    return columns


def kept_by_run(preparing: Preparing) -> dict[str, Any] | None:
    """Return what the run that is continued has recorded of its tables; None for a new run."""
    resume = preparing.route.resume
    return resume.run.pinned.get("archive") if isinstance(resume, ContinuedRun) else None


def child_tables(preparing: Preparing, format: SegmentFormat) -> Iterator[PlannedTable]:
    """Yield the tables below the root, in the order of the graph."""
    graph = preparing.found.graph
    if graph is None:
        return
    kept = (kept_by_run(preparing) or {}).get("children", {})
    for table in graph.tables:
        if name_of(table) == name_of(preparing.found.table):
            continue
        before = kept.get(table.label)
        found = preparing.database.backend.exact_columns.columns(preparing.connection, table)
        columns = tuple(found) if before is None else pinned_columns(table, before)
        yield PlannedTable(table, columns, table.column_names, format.of(columns), read_first(graph, table))


def nulled_tables(preparing: Preparing, format: SegmentFormat) -> Iterator[PlannedTable]:
    """Yield the tables whose rows stay with a reference set to NULL, once for each set of such columns."""
    graph = preparing.found.graph
    edges = {(name_of(edge.child), edge.nulls): edge for edge in graph.acting("null")} if graph is not None else {}
    for edge in edges.values():
        key = set_again_by(edge.child)
        if key:
            found = preparing.database.backend.exact_columns.columns(preparing.connection, edge.child)
            columns = tuple(one for one in found if one.name in {*key, *edge.nulls})
            yield PlannedTable(edge.child, columns, (), format.of(columns), nulled=edge.nulls)


def read_first(graph: Graph, table: Table) -> bool:
    """Whether rows of the table refer to rows that are deleted together with them."""
    return bool(graph.component(table).edges)


def graph_refusals(preparing: Preparing, lines: RowLines, children: Sequence[PlannedTable]) -> Iterator[Refusal]:
    """Yield refusals if rows of several tables cannot be archived exactly as they were."""
    graph, database = preparing.found.graph, preparing.database
    if graph is None:
        return
    if not lines.returns_deleted:
        yield Refusal(
            "children", f"{preparing.found.server.product} has no DELETE … RETURNING, which says what was deleted.",
            "archive the tables one after the other, those without children first.",
        )  # fmt: skip
    for table in (preparing.found.table, *(one.table for one in children)):
        if database.backend.sessions.locks_rows and graph.to(table) and not table.lockable:
            yield Refusal(
                "right", f'This role may not lock rows of "{table.label}": others could insert children of them that '
                "would be deleted without being archived.", f"GRANT UPDATE ON {table.label}.",
            )  # fmt: skip
    for one in children:
        yield from _child_refusals(preparing, lines, one)
    yield from _not_named(graph)


def _child_refusals(preparing: Preparing, lines: RowLines, one: PlannedTable) -> Iterator[Refusal]:
    database, server = preparing.database, preparing.found.server
    for why in refused(one.columns):
        yield Refusal(
            "inexact", f"A column of {one.table.label} cannot be archived exactly: {why}.",
            f"--stop-at {one.table.label} keeps its rows, and their parents.",
        )  # fmt: skip
    if why := lines.obstacle(preparing.connection, one.table, one.columns):
        yield Refusal("inexact", f'Rows of "{one.table.label}" cannot be archived: {why}.', "")
    missing = None
    if not server.read_only:
        names = [column.name for column in one.columns]
        missing = database.missing_right(one.table, server.role, [("SELECT", names)])
    if missing is not None:
        yield Refusal("right", missing.message, missing.hint(database.engine.dialect))


def _not_named(graph: Graph) -> Iterator[Refusal]:
    """Yield a refusal if one family sets references to NULL in rows that another one deletes, and these have no key."""
    deleted = {name_of(table) for table in graph.tables}
    for edge in graph.acting("null"):
        if name_of(edge.child) in deleted and not set_again_by(edge.child):
            yield Refusal(
                "children", f"Rows of {edge.child.label} are archived, and {edge.source} is set to NULL where only the "
                "row that it refers to goes: one that goes later would be archived without it, as it has no key.",
                f'--edge "{edge.source} = delete", or refuse.',
            )  # fmt: skip


def graph_facts(graph: Graph | None) -> Iterator[tuple[str, str]]:
    """Yield, for the plan, what becomes of rows that stay."""
    named = [edge for edge in graph.acting("null") if set_again_by(edge.child)] if graph is not None else []
    if named:
        columns = ", ".join(dict.fromkeys(f"{edge.child.label}.{_nulled(edge)}" for edge in named))
        yield "set NULL", f"{columns}: the rows stay; the archive has the values, which a restore sets again"


def graph_warnings(graph: Graph | None) -> Iterator[str]:
    """Yield a warning for each change that is not archived."""
    for edge in graph.acting("null") if graph is not None else ():
        if not set_again_by(edge.child):
            yield (
                f"Rows of {edge.child.label} that refer to archived rows stay: {_nulled(edge)} is set to NULL in them, "
                "and no restore gives that back, as the table has no key that finds them then. "
                f'--edge "{edge.source} = delete" archives them too, refuse keeps their parents.'
            )


def _nulled(edge: Edge) -> str:
    return columns_text(edge.nulls)


def graph_document(graph: Graph | None) -> dict[str, Any]:
    """Return, for the manifest, which edges there were and what happened along each."""
    if graph is None:
        return {}
    return {"children": [{"edge": edge.label, "action": edge.action} for edge in graph.edges]}
