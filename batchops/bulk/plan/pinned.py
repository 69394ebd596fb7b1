"""What is decided once, at the start of a run, and holds for all of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.plan.subselect_values import Pinned, pin_values
from batchops.db import epoch_columns
from batchops.db.backend import Server
from batchops.db.database import Database
from batchops.db.facts import RESTRICT, Reference
from batchops.db.lookup import nearest, unquoted
from batchops.db.table import Column, Key, Table
from batchops.errors import RefusedError, UsageError
from batchops.events import Listed
from batchops.spec.models import BackfillSpec, JobSpec
from batchops.sql.expression import (
    Assignment,
    Expression,
    freeze,
    parse_assignment,
    parse_predicate,
    plainly_idempotent,
)
from batchops.sql.selection import user_sql
from batchops.sql.subselects import called_functions
from batchops.sql.tokens import cut


@dataclass(frozen=True)
class LeftOut:
    """Rows that a purge leaves out, as other tables refer to them."""

    what: str
    """The child table and its columns."""
    condition: str
    """Which rows: those that match and are referred to."""


@dataclass(frozen=True)
class Frozen:
    """The predicate and the values with their moment in them; kept in the ledger for whoever goes on."""

    predicate: str | None
    assignments: tuple[tuple[str, str], ...]
    cutoff: str | None
    walk: str = ""
    key: tuple[str, ...] = ()
    leaves: tuple[tuple[str | None, str], ...] = ()
    """Schema and name of the partitions that are walked one by one."""
    left_out: tuple[LeftOut, ...] = ()
    key_types: tuple[str | None, ...] = ()
    listed: Listed | None = None
    """What the list of ids came to, where there is one."""
    reads_own: bool = False
    """Whether a value in it was read from what the job itself changes: evaluated anew, it would be another."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(kept: dict[str, Any]) -> "Frozen":
        """What `as_dict` gave, through JSON."""
        return Frozen(
            predicate=kept["predicate"],
            assignments=tuple((column, value) for column, value in kept["assignments"]),
            cutoff=kept["cutoff"],
            walk=kept["walk"],
            key=tuple(kept["key"]),
            leaves=tuple((schema, name) for schema, name in kept["leaves"]),
            left_out=tuple(LeftOut(**one) for one in kept.get("left_out", ())),
            key_types=tuple(kept.get("key_types", ())),
            listed=Listed(**kept["listed"]) if kept.get("listed") else None,
            reads_own=kept.get("reads_own", False),
        )

    def by(self, walk: str, key: tuple[str, ...], table: Table, leaves: Sequence[Table]) -> "Frozen":
        """The same, to be walked so."""
        return replace(
            self,
            walk=walk,
            key=key,
            leaves=tuple((leaf.schema, leaf.name) for leaf in leaves),
            key_types=table.types_of(key),
        )


@dataclass(frozen=True)
class Wishes:
    """The user's expressions, checked; nothing of them is known to the server yet."""

    where: Expression | None
    assignments: tuple[Assignment, ...]

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice gives what once gives. A purge does, and a backfill that reads nothing it sets."""
        return plainly_idempotent(self.assignments)


def check(database: Database, table: Table, spec: JobSpec, key: Sequence[str]) -> Wishes:
    """The predicate and the assignments as they were written, or what is wrong with them."""
    words, names = database.family.words, table.column_names
    where = None
    if spec.where is not None:
        where = parse_predicate(spec.where, words=words, table=table.name, columns=names, params=spec.params)
    assignments: list[Assignment] = []
    if isinstance(spec, BackfillSpec):
        for text in spec.set:
            one = parse_assignment(text, words=words, table=table.name, columns=names, params=spec.params)
            assignments.append(one)
    _settable(table, [a.column for a in assignments], key)
    return Wishes(where, tuple(assignments))


def _settable(table: Table, columns: Sequence[str], key: Sequence[str]) -> None:
    for i, name in enumerate(columns):
        if name in columns[:i]:
            raise UsageError(f'--set: column "{name}" is set twice.')
        if name in key:
            raise RefusedError(
                f'--set: "{name}" is the key that the rows are followed by: a row could be met twice, or never.',
                "follow another unique key with --key, or change keys with one statement of your own.",
            )
        if table.column(name).generated:
            raise UsageError(f'--set: column "{name}" is generated; the database itself computes it.')


def freeze_now(
    connection: sa.Connection, database: Database, server: Server, table: Table, spec: JobSpec,
    wishes: Wishes, references: Sequence[Reference],
) -> Frozen:  # fmt: skip
    """The wishes at this moment of the database's clock. `references`: foreign keys that change rows of others."""
    expressions = [e for e in (wishes.where, *(a.expression for a in wishes.assignments)) if e is not None]
    spellings = [word.spelling for expression in expressions for word in expression.clock]

    def evaluate(sql: str) -> str:
        return str(connection.execute(sa.select(sa.literal_column(sql))).scalar_one())

    literals = freeze(database.family.words, spellings, evaluate)

    def pinned(expression: Expression) -> Pinned:
        return pin_values(connection, database, expression.frozen(literals))

    where = pinned(wishes.where) if wishes.where else None
    values = [(a.column, pinned(a.expression)) for a in wishes.assignments]
    replaced = [text for one in (where, *(value for _, value in values)) if one for text in one.replaced]
    conditions = [where.text] if where else []
    cutoff = None
    if spec.by is not None:
        literal = _cutoff(connection, database, table, spec)
        mark = database.family.words.quote  # by hand: SQLAlchemy doubles a percent sign, and the driver's text again
        name = mark + _column(table, spec.by).replace(mark, 2 * mark) + mark
        conditions.append(f"{name} < {literal}")
        cutoff = epoch_columns.shown(literal) or f"{_between_quotes(literal)} ({server.zone})"
    elif literals:
        cutoff = f"{_between_quotes(next(iter(literals.values())))} ({server.zone})"
    return Frozen(
        predicate=" AND ".join(f"({c})" for c in conditions) if len(conditions) > 1 else "".join(conditions) or None,
        assignments=tuple((column, value.text) for column, value in values),
        cutoff=cutoff,
        reads_own=_reads_own(connection, database, table, references, replaced),
    )


def _reads_own(
    connection: sa.Connection, database: Database, table: Table, references: Sequence[Reference], texts: Sequence[str]
) -> bool:
    """Whether a sub-select among them reads the table, or one whose rows a foreign key changes with it."""
    if not texts:
        return False
    changed = {(r.child.schema, r.child.name) for r in references if {r.on_delete, r.on_update} != {RESTRICT}}
    functions = frozenset[str]().union(*(called_functions(cut(text, database.family.words.dialect)) for text in texts))
    values = [user_sql(f"({text})") for text in texts]
    read = database.family.facts.tables_read(connection, table, sa.true(), values, functions)
    return not read.isdisjoint({*changed, (table.schema, table.name)})


def without_nulls(database: Database, frozen: Frozen, table: Table, key: Key | None) -> Frozen:
    """Where the key may be NULL, only the rows that it names: the others cannot be followed."""
    if key is None or key in table.keys:
        return frozen
    mark = database.family.words.quote
    quoted = [mark + n.replace(mark, 2 * mark) + mark for n in key.columns if table.column(n).nullable]
    named = [f"{name} IS NOT NULL" for name in quoted]
    conditions = [f"({frozen.predicate})", *named] if frozen.predicate else named
    return replace(frozen, predicate=" AND ".join(conditions))


def time_column(table: Table, spec: JobSpec) -> Column | None:
    """The column that --older-than or --before compares; None without either."""
    return None if spec.by is None else table.column(_column(table, spec.by))


def _column(table: Table, named: str) -> str:
    name = unquoted(named)
    found = next((c for c in table.column_names if c == name), None)
    if found is None and name == named:
        found = next((c for c in table.column_names if c.lower() == named.lower()), None)
    if found is None:
        raise UsageError(f'--by: table "{table.label}" has no column "{name}".', nearest(name, table.column_names))
    return found


def _cutoff(connection: sa.Connection, database: Database, table: Table, spec: JobSpec) -> str:
    column = table.column(_column(table, spec.by or ""))
    if spec.before is not None:
        return database.family.cutoff_before(connection, table, column, spec.before)
    assert spec.older_than is not None  # the spec takes --by with one of the two only
    return database.family.cutoff_ago(connection, table, column, spec.older_than)


def _between_quotes(literal: str) -> str:
    """The moment inside a literal of whatever type."""
    parts = literal.split("'")
    return parts[1] if len(parts) > 1 else literal
