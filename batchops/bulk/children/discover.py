"""Finds the graph of a table from the live catalogue and from the edges that a person declares."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.bulk.children.declared import Choices, declared_keys
from batchops.bulk.children.edge_text import ASKED_NOTHING, AskedEdges
from batchops.bulk.children.graph import STOPPED, Edge, EdgeAction, Graph, name_of
from batchops.bulk.children.order import components
from batchops.db.database import Database
from batchops.db.facts import CASCADE, RESTRICT, SET_NULL, TableName
from batchops.db.foreign_keys import NO_ACTION, ForeignKey, Indexes
from batchops.db.lookup import find_table
from batchops.db.table import Table
from batchops.errors import UsageError

_DELETES = (CASCADE, NO_ACTION, RESTRICT)
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_EQUAL = re.compile(r"""["`]?(\w+)["`]?\s*=(?!=)""")


@dataclass(frozen=True)
class _Reach:
    """A foreign key, seen from a table of the graph that it refers to."""

    key: ForeignKey
    parent: TableName
    part: bool = False
    """Whether the key refers to one partition of that table alone."""


@dataclass(frozen=True)
class _Declared:
    """What a person said about the edges: the conditions of declared keys, tables to leave alone, chosen actions."""

    conditions: Mapping[int, str | None]
    """The condition of each declared key, by the key's identity (`id`)."""
    ends: frozenset[TableName]
    choices: Choices


def graph_of(
    connection: sa.Connection, database: Database, root: Table, asked_edges: AskedEdges = ASKED_NOTHING
) -> Graph:  # fmt: skip
    """Return the graph of the tables that refer to `root`.

    Raise UsageError or NotFoundError if a table, column or edge that is declared or chosen does not exist. The same few
    statements do for any number of tables; each table that `asked_edges` names takes some more.
    """
    backend = database.backend
    declared = list(declared_keys(connection, database, asked_edges.declared, asked_edges.params))
    schemas = {root.schema, *(key.child[0] for _, key in declared)}
    catalogue = list(backend.foreign_keys.all(connection, schemas))
    own = [(condition, key) for condition, key in declared if condition is not None or not _known(key, catalogue)]
    names = frozenset(name_of(find_table(connection, backend, name)) for name in asked_edges.stop_at)
    choices = Choices(connection, database, asked_edges.chosen)
    asked = _Declared({id(key): condition for condition, key in own}, names, choices)
    partitions = backend.foreign_keys.partitions(connection)
    keys = [*catalogue, *(key for _, key in own)]
    reached = list(_closure(name_of(root), keys, partitions, asked))
    tables = _tables(connection, database, root, [reach for reach, _ in reached])
    indexes = backend.foreign_keys.indexes(connection, list(tables.values()))
    edges = tuple(
        _edge(database, reach, action, tables, indexes, asked) for reach, action in reached if reach.key.child in tables
    )
    asked.choices.all_used(edges)
    return Graph(root, edges, components(root, edges))


def doubtful_edges(
    connection: sa.Connection, database: Database, table: TableName | None, asked_edges: AskedEdges
) -> tuple[Edge, ...]:  # fmt: skip
    """Return the edges of a table, or of the whole database, that no constraint guarantees: declared ones, and those of
    the catalogue that are not validated or not enforced. A parent that does not exist has the kind "missing".
    """
    backend = database.backend
    every = backend.foreign_keys.all(connection, {None if table is None else table[0]})
    catalogue = [key for key in every if not (key.validated and key.enforced)]
    own = list(declared_keys(connection, database, asked_edges.declared, asked_edges.params))
    own = [(condition, key) for condition, key in own if condition is not None or not _known(key, catalogue)]
    asked = _Declared({id(key): condition for condition, key in own}, frozenset(), Choices(connection, database, ()))
    reached = [
        _Reach(key, key.parent)
        for key in (*catalogue, *(key for _, key in own))
        if table == key.child or (table is None and not key.elsewhere)
    ]
    names = dict.fromkeys(name for reach in reached for name in (reach.key.child, reach.parent))
    tables = {name: Table(*name, "missing", (), (), "") for name in names}
    tables |= {name_of(table): table for table in backend.catalog.find_all(connection, list(names))}
    indexes = backend.foreign_keys.indexes(connection, [one for one in tables.values() if one.kind != "missing"])
    there = [reach for reach in reached if tables[reach.key.child].kind != "missing"]
    return tuple(_edge(database, reach, "delete", tables, indexes, asked) for reach in there)


def _known(key: ForeignKey, catalogue: Sequence[ForeignKey]) -> bool:
    """Whether the catalogue already has the declared key."""
    return any(
        (key.child, key.parent) == (other.child, other.parent)
        and set(zip(key.columns, key.referred, strict=True)) == set(zip(other.columns, other.referred, strict=True))
        for other in catalogue
    )


def _tables(
    connection: sa.Connection, database: Database, root: Table, reached: Sequence[_Reach]
) -> dict[TableName, Table]:  # fmt: skip
    names = dict.fromkeys(name for reach in reached for name in (reach.key.child, reach.parent))
    names.pop(name_of(root), None)
    found = {name_of(table): table for table in database.backend.catalog.find_all(connection, list(names))}
    return {name_of(root): root} | found


def _closure(
    root: TableName, keys: Sequence[ForeignKey], partitions: Mapping[TableName, TableName], asked: _Declared
) -> Iterator[tuple[_Reach, EdgeAction | None]]:  # fmt: skip
    """Yield each key that refers to the root or to a table whose rows are deleted, with its action; nearest first."""
    by_parent: dict[TableName, list[ForeignKey]] = {}
    for key in keys:
        by_parent.setdefault(key.parent, []).append(key)
    seen, waiting = {root}, [root]
    while waiting:
        table = waiting.pop(0)
        for reach in _reaching(table, by_parent, partitions):
            action = _action(reach, asked)
            yield reach, action
            if action == "delete" and reach.key.child not in seen:
                seen.add(reach.key.child)
                waiting.append(reach.key.child)


def _reaching(
    table: TableName, by_parent: Mapping[TableName, Sequence[ForeignKey]], partitions: Mapping[TableName, TableName]
) -> Iterator[_Reach]:  # fmt: skip
    """Yield the keys that refer to rows of the table.

    A row of a partition is a row of its parent too. A key that refers to one partition reaches rows of the parent.
    """
    for key in by_parent.get(table, ()):
        yield _Reach(key, table)
    above = partitions.get(table)
    while above is not None:
        for key in by_parent.get(above, ()):
            yield _Reach(key, table)
        above = partitions.get(above)
    for name, keys in by_parent.items():
        if _lies_in(name, table, partitions):
            yield from (_Reach(key, table, part=True) for key in keys)


def _lies_in(part: TableName, table: TableName, partitions: Mapping[TableName, TableName]) -> bool:
    above = partitions.get(part)
    while above is not None and above != table:
        above = partitions.get(above)
    return above is not None


def _action(reach: _Reach, asked: _Declared) -> EdgeAction | None:
    """Return what happens along the edge; None if a person has to choose."""
    key = reach.key
    if key.child in asked.ends:
        return "refuse"
    chosen = asked.choices.action(key.child, key.columns, reach.parent)
    if chosen is not None or id(key) in asked.conditions or reach.part:
        return chosen
    if key.on_delete == SET_NULL:
        return "null"
    return "delete" if key.on_delete in _DELETES else None


def _edge(
    database: Database, reach: _Reach, action: EdgeAction | None, tables: Mapping[TableName, Table], indexes: Indexes,
    asked: _Declared,
) -> Edge:  # fmt: skip
    key = reach.key
    child, parent = tables[key.child], tables[reach.parent]
    condition = asked.conditions.get(id(key))
    declared = id(key) in asked.conditions
    columns, nulls = _spelled(child, key.columns), nulls_of(child, key)
    why = _why(reach, action, declared=declared, stopped=key.child in asked.ends)
    if action == "null" and not nulls:
        cannot = f"{child.label}.{', '.join(columns)} cannot be NULL"
        if key.on_delete != SET_NULL:
            raise UsageError(f"--edge: {cannot}, so its rows cannot be kept.", "choose delete or refuse.")
        action, why = None, f"ON DELETE SET NULL, but {cannot}"
    indexed = _indexed(columns, indexes.get(key.child, ()), condition)
    return Edge(
        child=child, columns=columns, parent=parent, referred=_spelled(parent, key.referred),
        action=action or "refuse", why=why, chosen=action is not None, on_delete=key.on_delete, constraint=key.name,
        declared=declared, condition=condition, nulls=nulls, indexed=indexed,
        index=None if indexed else _missing_index(database, child, columns),
        deferrable=key.deferrable and key.on_delete != RESTRICT, deferred=key.deferred,
        validated=key.validated, enforced=key.enforced,
    )  # fmt: skip


def _why(reach: _Reach, action: EdgeAction | None, *, declared: bool, stopped: bool) -> str:
    rule = f"ON DELETE {reach.key.on_delete}"
    if stopped:
        return STOPPED
    if action is None and declared:
        return "declared by --child"
    if action is None and reach.part:
        return "it refers to one partition alone"
    by_rule = not declared and not reach.part and action == _by_rule(reach.key)
    return rule if action is None or by_rule else "chosen by --edge"


def _by_rule(key: ForeignKey) -> EdgeAction:
    return "null" if key.on_delete == SET_NULL else "delete"


def nulls_of(child: Table, key: ForeignKey) -> tuple[str, ...]:
    """Return the columns to set to NULL: those that the key's own rule sets, else all that can be NULL: one is enough.

    Empty if all of them have to be NULL, by MATCH FULL or SET NULL, and one cannot be.
    """
    able = {
        column.name.casefold()
        for column in child.columns
        if column.nullable and not column.generated and column.name not in child.primary
    }
    wanted = _spelled(child, key.sets or key.columns)
    found = tuple(name for name in wanted if name.casefold() in able)
    whole = key.match_full or key.on_delete == SET_NULL
    return () if whole and len(found) < len(wanted) else found


def _spelled(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as the table spells them: SQLite accepts any capitals."""
    known = {name.casefold(): name for name in table.column_names}
    return tuple(name if name in table.column_names else known.get(name.casefold(), name) for name in names)


def _indexed(columns: Sequence[str], indexes: Sequence[Sequence[str]], condition: str | None) -> bool:
    """Whether an index begins with the columns, in any order. Columns that the condition fixes may be among them."""
    wanted = {name.casefold() for name in columns}
    every = "" if condition is None or _OR.search(condition) else condition
    fixed = {name.casefold() for name in _EQUAL.findall(every)}
    for index in indexes:
        beginning = set()
        for name in index:
            if name.casefold() not in wanted | fixed:
                break
            beginning.add(name.casefold())
        if wanted <= beginning:
            return True
    return False


def _missing_index(database: Database, child: Table, columns: Sequence[str]) -> str:
    quote = database.engine.dialect.identifier_preparer.quote
    place = ".".join(quote(part) for part in (child.schema, child.name) if part)
    # Where an index must have a name, the statement has a placeholder for it. An index of a partitioned table cannot be
    # created concurrently.
    name = quote("_".join([child.name, *columns]))
    how = database.backend.facts.new_index.replace("…", name)
    how = "CREATE INDEX" if child.kind == "partitioned" else how
    return f"{how} ON {place} ({', '.join(map(quote, columns))})"
