"""The commands batchops archive list and show, and the group of all of them; the verb archive itself is in bulk/."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import rich_click as click

from batchops.archive.contents import Contents, FoundSegment, contents
from batchops.archive.destination import Destination, open_destination
from batchops.archive.ownership import owner_of
from batchops.archive.pruning import FoundPruned
from batchops.cli import archive_prune, archive_query, archive_verify
from batchops.cli.archive_options import DEST, JSON
from batchops.cli.help import Group
from batchops.errors import NotFoundError
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, counted, rough, visible

_ALONG = {
    "delete": "rows archived with what they refer to",
    "null": "set to NULL, rows stayed",
    "refuse": "kept what they refer to",
}
"""What an archive with children did along a reference, by its action."""


@click.group("archive", cls=Group)
def command() -> None:
    """Verify, list, show, query and prune archives of rows."""


command.add_command(archive_verify.command)


@command.command("list")
@DEST
@JSON
def list_command(dest: str, as_json_document: bool) -> None:
    """List the archived runs in DEST: tables, rows, files, and the manifest of each."""
    destination = open_destination(dest)
    found = contents(destination)
    runs, pruned = _runs(found), [one.document() for one in found.pruned]
    if as_json_document:
        click.echo(as_json({"destination": destination.shown, "runs": runs, "pruned": pruned}))
        return
    rows = [("RUN", "TABLE", "ROWS", "FILES", "BYTES", "MANIFEST", "WRITTEN")]
    for run in runs:
        numbers = count(run["rows"]), count(run["segments"]), rough(run["bytes"])
        manifest = "none: crashed or at work" if run["manifest"] is None else str(run["manifest"])
        rows.append((str(run["run"]), visible(_named(run)), *numbers, manifest, run["written"] or ""))
    rows += [row for one in found.pruned for row in _pruned_rows(one)]
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
    pruned = found.pruned_runs(run)
    if run is not None and not found.of(run=run) and not pruned:
        raise NotFoundError(f"Run {run} has archived nothing in {destination.shown}.", "see `batchops archive list`.")
    shown = [*_shown(found, run)]
    if as_json_document:
        own = {"destination": destination.shown, "owner": _owner(destination), "runs": shown}
        click.echo(as_json(own | {"pruned": [one.document() for one in pruned]}))
        return
    for one in shown:
        for line in _shown_lines(one):
            click.echo(visible(line))
    for gone in pruned:
        click.echo(visible(str(gone)))


def _pruned_rows(one: FoundPruned) -> Iterator[tuple[str, str, str, str, str, str, str]]:
    """Yield a row of the list for each table of a pruned run."""
    for table in one.run.tables:
        yield str(one.run.run), visible(table.table), count(table.rows), "", "", f"{one.manifest}: pruned", one.at


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


command.add_command(archive_query.command)
command.add_command(archive_prune.command)
