"""The command batchops archive verify."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click

from batchops.archive.chain import Damage
from batchops.archive.contents import FoundSegment
from batchops.archive.destination import Destination, open_destination
from batchops.archive.verify import Verified, verify
from batchops.cli.archive_options import DEST, JSON
from batchops.cli.help import Command
from batchops.errors import Exit
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, counted, visible

if TYPE_CHECKING:  # only --against needs a database
    from batchops.restore.against import Both


@click.command("verify", cls=Command)
@DEST
@click.option(
    "--against",
    metavar="URL",
    help="Look also which archived rows are in this database. env:NAME and file:PATH fetch it.",
)
@JSON
@click.pass_context
def command(context: click.RichContext, /, dest: str, against: str | None, as_json_document: bool) -> None:
    """Verify the archive in DEST: each file against its records, each row against both digests.

    Needs no database. Exit 0: everything is as it was written. 13: files are missing, truncated or changed; their
    names are printed. 3: with --against, archived rows are in the database as well, other than those copied by --keep;
    or files of pruned runs are still there.
    """
    destination = open_destination(dest)
    watched = sys.stderr.isatty() and not as_json_document
    found = verify(destination, _progress() if watched else lambda *_: None)
    both = [*_both(against, destination, found)] if against is not None else []
    code = Exit.INCOMPLETE if any(one.same or one.other or one.problem for one in both) else Exit.DONE
    code = Exit.INCOMPLETE if found.contents.half_pruned else code
    code = code if found.whole else Exit.INTEGRITY
    if as_json_document:
        more = {} if against is None else {"against": [asdict(one) for one in both]}
        click.echo(as_json(_verified(destination, found, code) | more))
    else:
        for line in (*_verified_lines(destination, found), *_both_lines(both)):
            click.echo(visible(line))
    context.exit(int(code))


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
        "left": inside.left, "pruned": [one.document() for one in inside.pruned], "half_pruned": inside.half_pruned,
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
    for gone in inside.pruned:
        yield f"  {'note':<10}{gone}"
    for name in inside.half_pruned:
        yield f"  {'left':<10}{name}: its run was pruned, and it is still there; {_way_out(destination)}"
    if inside.left:
        yield f"  {'note':<10}{counted(inside.left, 'row')} in files stayed in their tables: they do not count"


def _way_out(destination: Destination) -> str:
    return f"any `batchops archive prune {destination.shown}` removes it"


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
