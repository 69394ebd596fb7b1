"""What is decided once, at the start of a run, for the whole run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.plan.subselect_values import PinnedText, pin_values
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies.own_changes import OwnReference
from batchops.bulk.strategies.row_list import RowList
from batchops.bulk.strategies.strategy import Choice
from batchops.db import epoch_columns
from batchops.db.catalog import Server
from batchops.db.database import Database
from batchops.db.facts import RESTRICT, Reference
from batchops.db.lookup import no_column, unquoted
from batchops.db.table import Column, Key, Table
from batchops.errors import RefusedError, UsageError
from batchops.finished_details import Listed
from batchops.sql.expression import (
    Assignment,
    Expression,
    evaluate_time_functions,
    parse_assignment,
    parse_condition,
    plainly_idempotent,
)
from batchops.sql.selection import user_sql
from batchops.sql.subselects import called_functions
from batchops.sql.tokens import tokenize


@dataclass(frozen=True)
class ExcludedRows:
    """Rows that a purge leaves out, because another table refers to them."""

    what: str
    """The child table and its columns."""
    condition: str
    """The condition for the rows that match and are referred to."""


@dataclass(frozen=True)
class Pinned:
    """The condition and the values with pinned time functions; the ledger keeps them for a resume."""

    condition: str | None
    assignments: tuple[tuple[str, str], ...]
    cutoff: str | None
    strategy: str = ""
    key: tuple[str, ...] = ()
    leaves: tuple[tuple[str | None, str], ...] = ()
    """Schema and name of the partitions that are processed one by one."""
    left_out: tuple[ExcludedRows, ...] = ()
    key_types: tuple[str | None, ...] = ()
    listed: Listed | None = None
    """How many listed ids were found, if there is a list of ids."""
    reads_own: bool = False
    """Whether a pinned value was read from what the job itself changes: another evaluation would give another value."""
    stored: tuple[str, ...] = ()
    """The columns whose new values are evaluated with the list of rows, if there is one."""
    sets_own: tuple[OwnReference, ...] = ()
    """Foreign keys of the table to itself that change listed rows when others are deleted."""
    row_list: RowList | None = None
    """The list of rows, once it is complete."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(kept: dict[str, Any]) -> "Pinned":
        """Return the values from what `as_dict` returned, after a round trip through JSON."""
        return Pinned(
            condition=kept["condition"],
            assignments=tuple((column, value) for column, value in kept["assignments"]),
            cutoff=kept["cutoff"],
            strategy=kept["strategy"],
            key=tuple(kept["key"]),
            leaves=tuple((schema, name) for schema, name in kept["leaves"]),
            left_out=tuple(ExcludedRows(**one) for one in kept.get("left_out", ())),
            key_types=tuple(kept.get("key_types", ())),
            listed=Listed(**kept["listed"]) if kept.get("listed") else None,
            reads_own=kept.get("reads_own", False),
            stored=tuple(kept.get("stored", ())),
            sets_own=tuple((tuple(own), tuple(referred)) for own, referred in kept.get("sets_own", ())),
            row_list=RowList.of(kept["row_list"]) if kept.get("row_list") else None,
        )

    def by(self, choice: Choice, table: Table) -> "Pinned":
        """Return the values with this strategy."""
        return replace(
            self,
            strategy=choice.strategy,
            key=choice.key,
            leaves=tuple((leaf.schema, leaf.name) for leaf in choice.leaves),
            key_types=table.types_of(choice.key),
        )


@dataclass(frozen=True)
class ParsedSpec:
    """The user's condition and assignments, parsed and checked; the server has not seen them yet."""

    where: Expression | None
    assignments: tuple[Assignment, ...]

    @property
    def repeatable(self) -> bool:
        """Whether the job may be done twice: true for a purge, and for a backfill that reads nothing it sets."""
        return plainly_idempotent(self.assignments)


def check(database: Database, table: Table, spec: BulkSpec, key: Sequence[str]) -> ParsedSpec:
    """Parse and check the condition and the assignments."""
    functions, names = database.backend.sql_functions, table.column_names
    where = None
    if spec.where is not None:
        where = parse_condition(spec.where, functions=functions, table=table.name, columns=names, params=spec.params)
    assignments = [
        parse_assignment(text, functions=functions, table=table.name, columns=names, params=spec.params)
        for text in spec.assignments
    ]
    _settable(table, [a.column for a in assignments], key)
    return ParsedSpec(where, tuple(assignments))


def _settable(table: Table, columns: Sequence[str], key: Sequence[str]) -> None:
    for i, name in enumerate(columns):
        if name in columns[:i]:
            raise UsageError(f'--set: column "{name}" is set twice.')
        if name in key:
            raise RefusedError(
                f'--set: "{name}" is the key that batchops follows: a row could be visited twice, or never.',
                "use another unique key with --key, or change keys with a statement of your own.",
            )
        if table.column(name).generated:
            raise UsageError(f'--set: column "{name}" is generated; the database itself computes it.')


def pin(
    connection: sa.Connection, database: Database, server: Server, table: Table, spec: BulkSpec,
    parsed: ParsedSpec, references: Sequence[Reference],
) -> Pinned:  # fmt: skip
    """Pin the time functions to the database's time now. `references`: foreign keys that change rows of others."""
    expressions = [e for e in (parsed.where, *(a.expression for a in parsed.assignments)) if e is not None]
    spellings = [word.spelling for expression in expressions for word in expression.time_functions]

    def evaluate(sql: str) -> str:
        return str(connection.execute(sa.select(sa.literal_column(sql))).scalar_one())

    literals = evaluate_time_functions(database.backend.sql_functions, spellings, evaluate)

    def pinned_text(expression: Expression) -> PinnedText:
        return pin_values(connection, database, expression.pinned(literals))

    where = pinned_text(parsed.where) if parsed.where else None
    values = [(a.column, pinned_text(a.expression)) for a in parsed.assignments]
    replaced = [text for one in (where, *(value for _, value in values)) if one for text in one.replaced]
    conditions = [where.text] if where else []
    cutoff = None
    if spec.by is not None:
        literal = _cutoff(connection, database, table, spec)
        mark = (
            database.backend.sql_functions.quote
        )  # by hand: SQLAlchemy doubles a percent sign, and the driver's text again
        name = mark + _column(table, spec.by).replace(mark, 2 * mark) + mark
        conditions.append(f"{name} < {literal}")
        cutoff = epoch_columns.shown(literal) or f"{_between_quotes(literal)} ({server.zone})"
    elif literals:
        cutoff = f"{_between_quotes(next(iter(literals.values())))} ({server.zone})"
    return Pinned(
        condition=" AND ".join(f"({c})" for c in conditions) if len(conditions) > 1 else "".join(conditions) or None,
        assignments=tuple((column, value.text) for column, value in values),
        cutoff=cutoff,
        reads_own=_reads_own(connection, database, table, references, replaced),
    )


def _reads_own(
    connection: sa.Connection, database: Database, table: Table, references: Sequence[Reference], texts: Sequence[str]
) -> bool:
    """Whether one of the sub-selects reads the table, or a table whose rows a foreign key changes with it."""
    if not texts:
        return False
    changed = {(r.child.schema, r.child.name) for r in references if {r.on_delete, r.on_update} != {RESTRICT}}
    functions = frozenset[str]().union(
        *(called_functions(tokenize(text, database.backend.sql_functions.dialect)) for text in texts)
    )
    values = [user_sql(f"({text})") for text in texts]
    read = database.backend.facts.tables_read(connection, table, sa.true(), values, functions)
    return not read.isdisjoint({*changed, (table.schema, table.name)})


def without_nulls(database: Database, pinned: Pinned, table: Table, key: Key | None) -> Pinned:
    """Return the values with a condition that leaves out rows with NULL in the key: they cannot be followed."""
    if key is None or key in table.keys:
        return pinned
    mark = database.backend.sql_functions.quote
    quoted = [mark + n.replace(mark, 2 * mark) + mark for n in key.columns if table.column(n).nullable]
    named = [f"{name} IS NOT NULL" for name in quoted]
    conditions = [f"({pinned.condition})", *named] if pinned.condition else named
    return replace(pinned, condition=" AND ".join(conditions))


def time_column(table: Table, spec: BulkSpec) -> Column | None:
    """The column that --older-than or --before compares; None without either."""
    return None if spec.by is None else table.column(_column(table, spec.by))


def _column(table: Table, named: str) -> str:
    name = unquoted(named)
    found = next((c for c in table.column_names if c == name), None)
    if found is None and name == named:
        found = next((c for c in table.column_names if c.lower() == named.lower()), None)
    if found is None:
        raise no_column("--by", table, name)
    return found


def _cutoff(connection: sa.Connection, database: Database, table: Table, spec: BulkSpec) -> str:
    column = table.column(_column(table, spec.by or ""))
    if spec.before is not None:
        return database.backend.cutoffs.before(connection, table, column, spec.before)
    assert spec.older_than is not None  # the spec takes --by with one of the two only
    return database.backend.cutoffs.ago(connection, table, column, spec.older_than)


def _between_quotes(literal: str) -> str:
    """Return the time inside a literal of any type."""
    parts = literal.split("'")
    return parts[1] if len(parts) > 1 else literal
