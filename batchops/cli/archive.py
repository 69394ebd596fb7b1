"""The commands batchops archive verify, list and show, and the group of them; the verb archive itself is in bulk/."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchops.archive.contents import Contents, Damage, FoundSegment, contents
from batchops.archive.destination import Destination, open_destination
from batchops.archive.ownership import owner_of
from batchops.archive.verify import Verified, verify
from batchops.cli import archive_query
from batchops.cli.help import Group
from batchops.errors import Exit, NotFoundError
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, counted, rough, visible

if TYPE_CHECKING:  # only --against needs a database
    from batchops.restore.against import Both

_ALONG = {
    "delete": "rows archived with what they refer to",
    "null": "set to NULL, rows stayed",
    "refuse": "kept what they refer to",
}
"""What an archive with children did along a reference, by its action."""
DEST = click.argument("dest", metavar="DEST")
JSON = click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")


@click.group("archive", cls=Group)
def command() -> None:
    """Verify, list, show and query archives of rows."""


command.add_command(archive_query.command)


@command.command("verify")
@DEST
@click.option(
    "--against",
    metavar="URL",
    help="Look also which archived rows are in this database. env:NAME and file:PATH fetch it.",
)
@JSON
@click.pass_context
def verify_command(context: click.RichContext, /, dest: str, against: str | None, as_json_document: bool) -> None:
    """Verify the archive in DEST: each file against its records, each row against both digests.

    Needs no database. Exit 0: everything is as it was written. 13: files are missing, truncated or changed; their
    names are printed. 3: with --against, archived rows are in the database as well, other than those copied by --keep.
    """
    destination = open_destination(dest)
    watched = sys.stderr.isatty() and not as_json_document
    found = verify(destination, _progress() if watched else lambda *_: None)
    both = [*_both(against, destination, found)] if against is not None else []
    code = Exit.INCOMPLETE if any(one.same or one.other or one.problem for one in both) else Exit.DONE
    code = code if found.whole else Exit.INTEGRITY
    if as_json_document:
        more = {} if against is None else {"against": [asdict(one) for one in both]}
        click.echo(as_json(_verified(destination, found, code) | more))
    else:
        for line in (*_verified_lines(destination, found), *_both_lines(both)):
            click.echo(visible(line))
    context.exit(int(code))


@command.command("list")
@DEST
@JSON
def list_command(dest: str, as_json_document: bool) -> None:
    """List the archived runs in DEST: tables, rows, files, and the manifest of each."""
    destination = open_destination(dest)
    runs = _runs(contents(destination))
    if as_json_document:
        click.echo(as_json({"destination": destination.shown, "runs": runs}))
        return
    rows = [("RUN", "TABLE", "ROWS", "FILES", "BYTES", "MANIFEST", "WRITTEN")]
    for run in runs:
        numbers = count(run["rows"]), count(run["segments"]), rough(run["bytes"])
        manifest = "none: crashed or at work" if run["manifest"] is None else str(run["manifest"])
        rows.append((str(run["run"]), visible(_named(run)), *numbers, manifest, run["written"] or ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


@command.command("show")
@DEST
@click.argument("run", type=int, required=False)
@JSON
def show_command(dest: str, run: int | None, as_json_document: bool) -> None:
    """Show what is in DEST, or what RUN archived: columns, condition, server, files with their first and last key."""
    destination = open_destination(dest)
    found = contents(destination)
    if run is not None and not found.of(run=run):
        raise NotFoundError(f"Run {run} has archived nothing in {destination.shown}.", "see `batchops archive list`.")
    shown = [*_shown(found, run)]
    if as_json_document:
        click.echo(as_json({"destination": destination.shown, "owner": _owner(destination), "runs": shown}))
        return
    for one in shown:
        for line in _shown_lines(one):
            click.echo(visible(line))


def _progress() -> Any:
    """Return a listener that shows the progress in one line, which it writes over."""
    seen = rows = 0

    def line(segment: FoundSegment, _: Damage | None) -> None:
        nonlocal seen, rows
        seen, rows = seen + 1, rows + segment.rows
        click.echo(f"\r\x1b[K{counted(seen, 'file')}, {count(rows)} rows\r", nl=False, err=True)

    return line


def _verified(destination: Destination, found: Verified, code: int) -> dict[str, Any]:
    inside = found.contents
    return {
        "destination": destination.shown, "exit": int(code), "rows": found.rows, "bytes": found.bytes,
        "segments": len(inside.segments), "manifests": len(inside.manifests),
        "damage": [asdict(one) for one in found.damage],
        "without_manifest": sorted(inside.unlisted_runs), "unsealed": inside.unsealed,
        "unrecorded": inside.unrecorded, "undecided": [one.listed.name for one in inside.undecided],
        "left": inside.left,
    }  # fmt: skip


def _verified_lines(destination: Destination, found: Verified) -> Iterator[str]:
    inside = found.contents
    what = f"{counted(len(inside.segments), 'file')}, {counted(len(inside.manifests), 'manifest')}"
    state = "verified" if found.whole else "DAMAGED"
    yield f"{destination.shown}: {state}, {count(found.rows)} rows are as they were archived ({what})"
    for damage in found.damage:
        yield f"  {damage.what:<10}{damage.name}: {damage.text}"
    for run, files in sorted(inside.unlisted_runs.items()):
        yield f"  {'note':<10}run {run} has no manifest: it crashed or is at work; {counted(files, 'file')} by records"
    for name in inside.unsealed:
        yield f"  {'note':<10}{name} is a spool of a run that crashed or is at work; it is not verified"
    for name in inside.unrecorded:
        yield f"  {'note':<10}{name} has no record: it was not finished, and no row of it counts"
    for one in inside.undecided:
        text = f"{counted(one.rows, 'row')} may be in {one.table.label} too, as its run crashed or is at work"
        yield f"  {'note':<10}{one.listed.name}: {text}; the same archive command decides it, or --against"
    if inside.left:
        yield f"  {'note':<10}{counted(inside.left, 'row')} in files stayed in their tables: they do not count"


def _both(url: str, destination: Destination, found: Verified) -> Iterator["Both"]:
    """Yield the comparison of an undamaged archive with the database; a damaged one proves nothing."""
    from batchops.db.database import connect
    from batchops.db.urls import address
    from batchops.restore.against import compared

    if found.whole:
        with closing(connect(address(url, os.environ))) as database:
            yield from compared(database, destination, found.contents)


def _both_lines(both: Sequence["Both"]) -> Iterator[str]:
    for one in both:
        if one.problem:
            yield f"  {'unknown':<10}{one.table}: {one.problem}"
        for number, what, names in (
            (one.same, "as they were archived", one.same_rows),
            (one.other, "with other content", one.other_rows),
        ):
            if number:
                more = " …" if number > len(names) else ""
                yield f"  {'double':<10}{one.table}: {counted(number, 'row')} in the table too, {what}: " + (
                    "; ".join(names) + more
                )
        for number, what in ((one.kept, "as they were copied"), (one.changed, "with other content since")):
            if number:
                yield f"  {'kept':<10}{one.table}: {counted(number, 'copied row')} in the table too, {what}"
        if not one.by_key:
            why = "as it has no key of archived, not generated columns"
            yield f"  {'note':<10}{one.table}: compared as whole rows, {why}"
        if not (one.same or one.other or one.kept or one.changed or one.problem):
            yield f"  {'apart':<10}{one.table}: none of {counted(one.rows, 'row')} is in the table"


def _runs(found: Contents) -> list[dict[str, Any]]:
    """Return a row for each table of each run."""
    written = {one.number: one.manifest.about.get("written") for one in found.manifests}
    rows: dict[tuple[int, str, int | None, tuple[str, ...]], dict[str, Any]] = {}
    for segment in found.segments:
        key = segment.run, segment.table.label, segment.manifest, segment.table.nulled
        of_table = {"run": key[0], "table": key[1]} | ({"nulled": list(key[3])} if key[3] else {})
        row = rows.setdefault(key, of_table | {"rows": 0, "segments": 0, "bytes": 0})
        row["rows"] += segment.rows
        row["bytes"] += segment.listed.record.bytes
        row["segments"] += 1
        row["manifest"] = segment.manifest
        row["written"] = written.get(segment.manifest or 0)
    return [*rows.values()]


def _named(run: Mapping[str, Any]) -> str:
    """Return the table's name, with the columns whose values were archived from rows that stayed."""
    return f"{run['table']} ({', '.join(run['nulled'])} of rows that stayed)" if "nulled" in run else str(run["table"])


def _owner(destination: Destination) -> dict[str, Any] | None:
    owner = owner_of(destination)
    return None if owner is None else asdict(owner)


def _shown(found: Contents, run: int | None) -> Iterator[dict[str, Any]]:
    about = {one.number: dict(one.manifest.about) for one in found.manifests}
    for row in _runs(found):
        if run is not None and row["run"] != run:
            continue
        values = tuple(row.get("nulled", ()))
        of_run = found.nulled(row["run"]) if values else found.of(row["table"], row["run"])
        own = [
            one
            for one in of_run
            if (one.table.label, one.manifest, one.table.nulled) == (row["table"], row["manifest"], values)
        ]
        table = own[0].table.document()
        files = [_file(one) for one in own]
        yield {
            **row,
            **about.get(row["manifest"], {}),
            "columns": table["columns"],
            "key": table["key"],
            "files": files,
        }


def _file(one: FoundSegment) -> dict[str, Any]:
    """Return a segment as a document, with its archived rows."""
    stayed = one.listed.record.rows - one.rows
    more = {"left": stayed} if stayed else {}
    more |= {"undecided": True} if one.undecided else {}
    return {"name": one.listed.name, **one.listed.record.document(), "rows": one.rows, **more}


def _shown_lines(run: dict[str, Any]) -> Iterator[str]:
    yield f"run {run['run']}: {_named(run)}, {counted(run['rows'], 'row')} in {counted(run['segments'], 'file')}"
    if isinstance(started := run.get("started"), int | float):
        run = run | {"started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")}
    elsewhere = {"run", "table", "nulled", "rows", "segments", "bytes", "columns", "key", "files", "children"}
    for name, value in run.items():
        if name not in elsewhere and value not in (None, "", {}):
            text = ", ".join(f"{k} {v}" for k, v in value.items() if v) if isinstance(value, dict) else value
            yield f"  {name.replace('_', ' '):<15}{text}"
    for child in run.get("children", ()):
        if child["edge"].startswith(f"{run['table']}.") or f" -> {run['table']}." in child["edge"]:
            yield f"  {'reference':<15}{child['edge']}: {_ALONG[child['action']]}"
    yield f"  {'key':<15}{', '.join(run['key']) or 'none'}"
    for column in run["columns"]:
        yield f"  {'column':<15}{column['name']}: {column['sql_type']} ({column['kind']})"
    for file in run["files"]:
        ends = f", from {_key(file['first_key'])} to {_key(file['last_key'])}" if file["first_key"] else ""
        yield f"  {'file':<15}{file['name']}: {counted(file['rows'], 'row')}, {rough(file['bytes'])}B{ends}"
        if file.get("undecided"):
            yield f"  {'':<15}nothing says which of its rows were deleted: its run crashed or is at work"
        if file.get("left"):
            yield f"  {'':<15}{counted(file['left'], 'row')} more in it stayed in the table, and do not count"


def _key(values: list[str | None]) -> str:
    return ", ".join("NULL" if value is None else value for value in values)
