"""Finds what to restore: the segments of each archived table, and the table to restore them into."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.archive.contents import Contents, FoundSegment
from batchops.archive.destination import Destination
from batchops.archive.records import ArchivedTable
from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.table import Table
from batchops.errors import NotFoundError, UsageError
from batchops.restore.spec import RestoreSpec
from batchops.sql.expression import parse_condition
from batchops.sql.selection import user_sql


@dataclass(frozen=True)
class Found:
    """The segments of one archived table, and the target."""

    destination: Destination
    label: str
    segments: tuple[FoundSegment, ...]
    archived: ArchivedTable
    """The archived table, as the last run saw it."""
    schema: str | None
    name: str
    table: Table | None
    """The target; None if the restore has to make it."""
    nulled: tuple[FoundSegment, ...] = ()
    """Segments with values of its rows that an archive set to NULL. Without `segments`, its rows are not archived."""

    @property
    def into(self) -> str:
        """Return the label of the target."""
        if self.table is not None:
            return self.table.label
        return self.name if self.schema in (None, "public") else f"{self.schema}.{self.name}"

    @property
    def whole(self) -> ArchivedTable:
        """Return a table for the rows of all runs: with the columns of the last run, and those of earlier ones only."""
        own = {column.name: column for column in self.archived.columns}
        earlier = {column.name: column for table in self.tables for column in table.columns}
        everywhere = set(own).intersection(*({column.name for column in table.columns} for table in self.tables))
        columns = (*own.values(), *(column for name, column in earlier.items() if name not in own))
        taken = (one if one.name in everywhere else replace(one, nullable=True) for one in columns)
        return replace(self.archived, columns=tuple(taken))

    @property
    def tables(self) -> list[ArchivedTable]:
        """Return the different forms that the archived table had in the runs."""
        return [*dict.fromkeys(one.table for one in self.segments)]


def find(
    connection: sa.Connection, spec: RestoreSpec, database: Database, destination: Destination, inside: Contents
) -> tuple[Found, ...]:  # fmt: skip
    """Return the archived tables to restore, each with its target; raise NotFoundError if there are none."""
    labels = _chosen(inside, spec, destination.shown)
    if len(labels) > 1 and (spec.where is not None or spec.into is not None):
        flag = "--where" if spec.where is not None else "--into"
        raise UsageError(
            f"{flag} is for one table; several are archived: {', '.join(labels)}.", "name it with --table."
        )
    found = tuple(_found(connection, spec, database, destination, inside, label) for label in labels)
    found += () if spec.table else tuple(_only_nulled(connection, spec, database, destination, inside, labels))
    by_target: dict[tuple[str | None, str], str] = {}
    for one in found:
        other = by_target.setdefault((one.schema, one.name), one.label)
        if other != one.label:
            message = f"The archived tables {other} and {one.label} would both be restored into {one.into}."
            raise UsageError(message, "restore one after the other, with --table and --into.")
    return found


def _found(
    connection: sa.Connection, spec: RestoreSpec, database: Database, destination: Destination, inside: Contents,
    label: str,
) -> Found:  # fmt: skip
    segments = inside.of(label, spec.of_run)
    if not segments:
        gone = "; ".join(map(str, inside.pruned_runs(spec.of_run)))
        message = f"Run {spec.of_run} has archived nothing of {label}."
        raise NotFoundError(message, f"{gone}." if gone else "see `batchops archive list`.")
    archived = segments[-1].table
    into = spec.into or _label_here(label, archived, database)
    try:
        table: Table | None = find_table(connection, database.backend, into)
    except NotFoundError:
        table = None
    schema, name = database.backend.catalog.unlabelled(into) if table is None else (table.schema, table.name)
    # Undecided rows, which may be in the table or archived again since, must come after the others.
    ordered = sorted(segments, key=lambda one: one.undecided)
    nulled = [one for one in inside.nulled(spec.of_run) if one.table.label == label and spec.where is None]
    return Found(destination, label, tuple(ordered), archived, schema, name, table, tuple(nulled))


def _only_nulled(
    connection: sa.Connection, spec: RestoreSpec, database: Database, destination: Destination, inside: Contents,
    labels: Sequence[str],
) -> Iterator[Found]:  # fmt: skip
    """Yield the tables whose rows stayed and lost references only. A table that is gone has no such rows: skip it."""
    others: dict[str, list[FoundSegment]] = {}
    for one in inside.nulled(spec.of_run) if spec.where is None and spec.into is None else ():
        if one.table.label not in labels:
            others.setdefault(one.table.label, []).append(one)
    for label, nulled in others.items():
        archived = nulled[-1].table
        with suppress(NotFoundError):
            table = find_table(connection, database.backend, _label_here(label, archived, database))
            yield Found(destination, label, (), archived, table.schema, table.name, table, tuple(nulled))


def identity(verb: str, spec: RestoreSpec, found: Sequence[Found]) -> dict[str, Any]:
    """Return what identifies the job. --on-conflict is no part of it, and may change from run to run."""
    one = found[0] if len(found) == 1 else None
    return {
        "verb": verb, "from": found[0].destination.place, "table": one.label if one else "", "of_run": spec.of_run,
        "into": [one.schema, one.name] if one else None, "where": spec.where,
        "params": {name: f"{type(value).__name__} {value}" for name, value in sorted(spec.params.items())},
    }  # fmt: skip


def key_of(table: Table, archived: ArchivedTable) -> tuple[str, ...]:
    """Return the columns that identify a row: a key of the target that was archived, the primary key if possible.

    A generated column is in no such key: its archived values are not loaded, since the database computes them.
    """
    return table.key_within({*table.writable_names}.intersection(column.name for column in archived.columns))


def condition_of(
    spec: RestoreSpec, database: Database, label: str, archived: ArchivedTable
) -> sa.ColumnElement[bool] | None:  # fmt: skip
    """Return the user's condition, None without --where; raise UsageError if it is not valid."""
    if spec.where is None:
        return None
    names = [column.name for column in archived.columns]
    parsed = parse_condition(
        spec.where, functions=database.backend.sql_functions, table=label, columns=names, params=spec.params
    )
    if parsed.time_functions:
        raise UsageError("--where: a restore takes no time functions.", "write the time as it is.")
    return sa.literal_column(f"({user_sql(parsed.text).text})", sa.Boolean())


def _label_here(label: str, archived: ArchivedTable, database: Database) -> str:
    """Return the label of the table in this database: without the schema if another family's database gave it."""
    return label if archived.family == database.backend.row_loading.family else label.rpartition(".")[2]


def _chosen(inside: Contents, spec: RestoreSpec, shown: str) -> list[str]:
    """Return the label of the table in --table, or of all that the run archived; NotFoundError if there are none."""
    labels = [*dict.fromkeys(one.table.label for one in inside.of())]
    asked = spec.table
    gone = "; ".join(map(str, inside.pruned_runs(spec.of_run)))
    if not labels:
        raise NotFoundError(f"No rows are archived in {shown}.", f"{gone}." if gone else "check the destination.")
    if asked:
        if asked not in labels:
            message = f'No rows of a table "{asked}" are archived in {shown}.'
            raise NotFoundError(message, f"archived tables: {', '.join(labels)}.")
        return [asked]
    of_run = [*dict.fromkeys(one.table.label for one in inside.of(run=spec.of_run))]
    if not of_run:
        message = f"Run {spec.of_run} has archived nothing."
        raise NotFoundError(message, f"{gone}." if gone else "see `batchops archive list`.")
    return of_run
