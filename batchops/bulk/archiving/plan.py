"""Finds out what archiving a table would do, before anything is written."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchops.archive.destination import Destination, FolderDestination
from batchops.archive.formats import SegmentFormat, format_here
from batchops.archive.ownership import DestinationOwner, check, owner_of, this_host
from batchops.archive.s3 import S3Destination
from batchops.bulk.archiving.changed_before import changed_before
from batchops.bulk.archiving.plan_database import database_archive
from batchops.bulk.archiving.planned_tables import (
    PlannedTable,
    child_tables,
    graph_document,
    graph_facts,
    graph_refusals,
    graph_warnings,
    kept_by_run,
    nulled_tables,
    pinned_columns,
    read_first,
)
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.archiving.target import Bucket, Folder, OtherTable
from batchops.bulk.archiving.to_bucket import BucketArchive
from batchops.bulk.archiving.to_database import DatabaseArchive
from batchops.bulk.archiving.to_folder import FolderArchive
from batchops.bulk.archiving.to_table import TableArchive, table_archive
from batchops.bulk.children.of_run import children_of, refers_to_itself
from batchops.bulk.rows_out import Preparing, RowsOut
from batchops.db.exact_columns import ExactColumn, refused
from batchops.db.lookup import no_column
from batchops.db.row_lines import RowLines
from batchops.errors import RefusedError, UsageError
from batchops.reporters.figures import rough
from batchops.runtime.refusal import Refusal
from batchops.version import __version__

KEEPS_FILES = (
    "keep", "rows stay in the table; a run copies each once, also after a crash; the next run copies all again"
)  # fmt: skip


def rows_out(preparing: Preparing) -> RowsOut:
    """Return where the rows of an archive go; UsageError or RefusedError if they cannot go there."""
    spec = preparing.spec
    assert isinstance(spec, ArchiveSpec)  # the verb's own
    out = _rows_out(preparing, spec)
    archived = spec.columns or preparing.found.table.column_names
    return replace(out, refusals=[*out.refusals, *changed_before(preparing, archived)])


def _rows_out(
    preparing: Preparing, spec: ArchiveSpec
) -> FolderArchive | BucketArchive | DatabaseArchive | TableArchive:  # fmt: skip
    if not preparing.ledger.in_target:
        raise RefusedError(
            "An archive needs the ledger in the database itself: rows and ledger are one commit.",
            "leave --ledger out.",
        )
    target = spec.target
    if isinstance(target, Folder):
        return _folder(preparing, spec, target)
    if isinstance(target, Bucket):
        return _bucket(preparing, spec, target)
    found = preparing.database.backend.exact_columns.columns(preparing.connection, preparing.found.table)
    chosen = _chosen(preparing, spec, found)
    if isinstance(target, OtherTable):
        return database_archive(preparing, spec, target, chosen, os.environ)
    return table_archive(preparing, spec, target, chosen)


def _folder(preparing: Preparing, spec: ArchiveSpec, target: Folder) -> FolderArchive:
    found, database = preparing.found, preparing.database
    lines = preparing.database.backend.row_lines
    format = format_here(spec.format)
    tables = _tables(preparing, spec, format)
    root, *others = tables
    owner = DestinationOwner(_database_id(preparing), this_host(), database.address.name, found.server.identity)
    return FolderArchive(
        path=target.path, tables=tables, segment_format=format, segment_size=spec.segment_size,
        server=found.server.identity, about=_about(preparing),
        facts=(*_facts(spec, target, root), *graph_facts(found.graph)),
        refusals=[
            *_refusals(preparing, lines, root.columns), *graph_refusals(preparing, lines, others),
            *_folder_refusals(target.path, owner),
        ],
        warnings=(*_warnings(preparing, lines, root), *graph_warnings(found.graph)),
        retry_seconds=spec.retry_timeout.total_seconds(), pinned=_pinned(tables),
    )  # fmt: skip


def _bucket(preparing: Preparing, spec: ArchiveSpec, target: Bucket) -> BucketArchive:
    found, route, database = preparing.found, preparing.route, preparing.database
    lines = preparing.database.backend.row_lines
    format = format_here(spec.format)
    tables = _tables(preparing, spec, format)
    root, *others = tables
    destination = S3Destination(target.address, os.environ)
    owner = DestinationOwner(_database_id(preparing), "", database.address.name, found.server.identity)
    children = children_of(preparing.connection, database, spec, found, route.pinned)
    return BucketArchive(
        destination=destination, tables=tables, children=children, followed=route.pinned.key, segment_format=format,
        keep=spec.keep, segment_size=spec.segment_size,
        may_end_soon=any((spec.max_time, spec.max_batches, spec.window)), most_rows=spec.max_rows,
        server=found.server.identity, about=_about(preparing),
        facts=(*_facts(spec, target, root), *graph_facts(found.graph)),
        refusals=[
            *_refusals(preparing, lines, root.columns), *graph_refusals(preparing, lines, others),
            *_unnamed(preparing), *_owner_refusals(destination, owner),
        ],
        warnings=(*_warnings(preparing, lines, root), *graph_warnings(found.graph)),
        retry_seconds=spec.retry_timeout.total_seconds(), pinned=_pinned(tables),
    )  # fmt: skip


def _tables(preparing: Preparing, spec: ArchiveSpec, format: SegmentFormat) -> tuple[PlannedTable, ...]:
    """Return the table that was named, those below it, and those whose rows stay with a reference set to NULL."""
    found = preparing.found
    columns, every = _columns(preparing, spec)
    own = read_first(found.graph, found.table) if found.graph is not None else refers_to_itself(found.facts)
    root = PlannedTable(found.table, columns, every, format.of(columns), own, root=True)
    return root, *child_tables(preparing, format), *nulled_tables(preparing, format)


def _pinned(tables: Sequence[PlannedTable]) -> dict[str, Any]:
    """Return what the process that continues the run must know of the tables."""
    root, *others = tables
    children = {one.table.label: one.pinned for one in others if not one.nulled}
    return {"archive": root.pinned | ({"children": children} if children else {})}


def _about(preparing: Preparing) -> dict[str, Any]:
    pinned, server = preparing.route.pinned, preparing.found.server
    about = {
        "condition": pinned.condition, "cutoff": pinned.cutoff, "product": server.product,
        "server_version": server.version, "batchops": __version__,
    }  # fmt: skip
    return about | graph_document(preparing.found.graph) | ({} if preparing.verb.removes else {"kept": True})


def _unnamed(preparing: Preparing) -> Iterator[Refusal]:
    """Yield a refusal if a row cannot be found again, or cannot be locked, once it is uploaded."""
    table = preparing.found.table
    if not preparing.route.pinned.key:
        yield Refusal(
            "destination", f'Rows of "{table.label}" cannot be found again once they are uploaded: it has no key.',
            "add a primary key, or archive to a folder.",
        )  # fmt: skip
    if preparing.verb.removes and preparing.database.backend.sessions.locks_rows and not table.lockable:
        yield Refusal(
            "rights", f'This role may not lock rows of "{table.label}", to see that they are as they were uploaded.',
            "GRANT UPDATE on it, or archive to a folder.",
        )  # fmt: skip


def _database_id(preparing: Preparing) -> str:
    """Return the id of the database in its ledger; empty while there is no ledger yet."""
    if preparing.ledger.state(preparing.connection) != "current":
        return ""
    return preparing.ledger.database_id(preparing.connection)


def _columns(preparing: Preparing, spec: ArchiveSpec) -> tuple[tuple[ExactColumn, ...], tuple[str, ...]]:
    """Return the columns to archive, and all columns of the table. A continued run keeps its own."""
    table, kept = preparing.found.table, kept_by_run(preparing)
    if kept is not None:
        return pinned_columns(table, kept), table.column_names
    found = preparing.database.backend.exact_columns.columns(preparing.connection, table)
    return _chosen(preparing, spec, found), table.column_names


def _chosen(preparing: Preparing, spec: ArchiveSpec, found: Sequence[ExactColumn]) -> tuple[ExactColumn, ...]:
    if spec.columns is None:
        return tuple(found)
    by_name = {column.name: column for column in found}
    for name in spec.columns:
        if name not in by_name:
            raise no_column("--columns", preparing.found.table, name)
    return tuple(column for column in found if column.name in spec.columns)


def _facts(
    spec: ArchiveSpec, target: Folder | Bucket, root: PlannedTable
) -> Iterator[tuple[str, str]]:  # fmt: skip
    uploaded = isinstance(target, Bucket)
    of_each = "an object" if uploaded else "a file"
    yield "to", f"{target.shown} ({spec.format}, {rough(spec.segment_size)}B of rows {of_each})"
    if len(root.columns) < len(root.every_column):
        yield "columns", ", ".join(column.name for column in root.columns)
    if spec.keep:
        yield KEEPS_FILES
        return
    if uploaded and spec.with_children:
        yield (
            "order",
            "families are deleted and rolled back, to copy what goes; uploaded and read back; then deleted where all "
            "of their rows are unchanged; no lock is held during an upload",
        )
    elif uploaded:
        yield "order", "rows are uploaded and read back, then deleted where unchanged; no lock is held during an upload"
    else:
        yield "order", "rows are written and synced, then deleted; files are read back before their spools go"


def _refusals(preparing: Preparing, lines: RowLines, columns: Sequence[ExactColumn]) -> Iterator[Refusal]:
    table, facts = preparing.found.table, preparing.found.facts
    if not facts.transactional:
        yield Refusal(
            "engine", f'Table "{table.label}" does not support transactions: what is deleted cannot be rolled back.',
            "ALTER TABLE … ENGINE=InnoDB.",
        )  # fmt: skip
    for why in refused(columns):
        yield Refusal("inexact", f"A column cannot be archived exactly: {why}.", "leave it out with --columns.")
    if why := lines.obstacle(preparing.connection, table, columns):
        yield Refusal("inexact", f'Rows of "{table.label}" cannot be archived: {why}.', "")


def _folder_refusals(path: Path, owner: DestinationOwner) -> Iterator[Refusal]:
    if path.exists() and not path.is_dir():
        raise UsageError(f"--to {path} is no folder.", "name another one.")
    above = next(one for one in (path, *path.parents) if one.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        yield Refusal(
            "destination", f"{above} may not be written by this user.", "correct its rights, or --to another."
        )
        return
    yield from _owner_refusals(FolderDestination(path), owner)


def _owner_refusals(destination: Destination, owner: DestinationOwner) -> Iterator[Refusal]:
    try:
        found = owner_of(destination)
        check(destination, replace(owner, database_id=owner.database_id or (found.database_id if found else "")), found)
    except RefusedError as error:
        yield Refusal("destination", error.message, error.hint)


def _warnings(
    preparing: Preparing, lines: RowLines, root: PlannedTable
) -> Iterator[str]:  # fmt: skip
    keep = not preparing.verb.removes
    if (weaker := lines.weaker_commits(preparing.connection)) and not keep:  # the ledger knows what was copied
        yield f"After a fall of the server ({weaker}), rows of its last second may be in table and archive."
    columns = [column.name for column in root.columns]
    lost = [name for name in root.every_column if name not in columns]
    if lost:
        yield f"{'Not copied' if keep else 'Not archived, and deleted with their rows'}: {', '.join(lost)}."
    elif not preparing.found.table.key_within(columns):
        yield "The archived columns hold no key, so that no row of the archive can be found by it."
