"""The command batchops archive prune."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import rich_click as click

from batchops import durations
from batchops.archive.destination import open_destination
from batchops.archive.prune import Pruned, PrunePlan, plan_prune, prune
from batchops.archive.pruning import PrunedRun
from batchops.cli.archive_options import DEST, JSON
from batchops.cli.help import Command
from batchops.cli.output import note
from batchops.errors import Exit, UsageError
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, counted, rough, visible

NOTHING = Pruned((), 0, None)


@click.command("prune", cls=Command)
@DEST
@click.option("--older-than", metavar="2y", help="Runs that were archived so long ago.")
@click.option("--run", type=click.IntRange(min=1), metavar="N", help="This run.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be removed. Removes nothing.")
@click.option("-y", "--yes", is_flag=True, help="Ask no question.")
@JSON
@click.pass_context
def command(
    context: click.RichContext, /, dest: str, older_than: str | None, run: int | None, dry_run: bool, yes: bool,
    as_json_document: bool,
) -> None:  # fmt: skip
    """Remove whole runs from the archive in DEST permanently: all of their rows, records and manifests.

    Needs no database. A record in the chain of manifests says first which runs go, with their tables and numbers of
    rows; then their files are removed. After a crash the same command continues. A run that is not finished stays: exit
    3. So does an archive that a restore, a verification or a query on this machine reads: exit 11.

    Example: batchops archive prune archive/ --older-than 2y
    """
    age = _age(older_than)
    destination = open_destination(dest)
    plan = plan_prune(destination, age, run)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("There is no terminal to ask at.", "use -y (--yes) to run without a question.")
    for line in _plan_lines(plan):
        if dry_run and not as_json_document:
            click.echo(visible(line))
        else:
            note(visible(line))
    if dry_run:
        _print(plan, NOTHING, "dry-run", as_json_document)
        return
    if not (plan.nothing or yes or click.confirm(f"{_question(plan)}?", default=False, err=True)):
        note("Declined; nothing was changed.")
        if as_json_document:
            _print(plan, NOTHING, "declined", as_json_document)
        context.exit(int(Exit.FAILED))
    done = NOTHING if plan.nothing else prune(plan)
    changed = [one.run for one in plan.runs if one not in done.runs]
    for number in changed:
        note(f"run {number} stays: it has changed since it was planned")
    incomplete = changed or plan.kept
    _print(plan, done, "incomplete" if incomplete else "done", as_json_document)
    context.exit(int(Exit.INCOMPLETE if incomplete else Exit.DONE))


def _age(text: str | None) -> timedelta | None:
    try:
        return None if text is None else durations.parse(text)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None


def _plan_lines(plan: PrunePlan) -> Iterator[str]:
    yield f"  {'archive':<10}{plan.destination.shown}"
    for one in plan.runs:
        yield f"  {'remove':<10}run {one.run}, archived {one.written}: {_tables(one)}; {_files(one)}"
    for text in plan.kept:
        yield f"  {'keep':<10}{text}"
    if plan.left:
        files = counted(len(plan.left), "file")
        yield f"  {'remove':<10}{files} of runs that were pruned before: {plan.left[0]}{' …' if plan.left[1:] else ''}"
    if plan.asked is not None and not plan.runs:
        yield from (f"  {'pruned':<10}{one}" for one in plan.earlier)
    if plan.nothing:
        yield f"  {'nothing':<10}there is no such run to remove"


def _tables(one: PrunedRun) -> str:
    return ", ".join(
        f"{count(table.rows)} {'former values' if table.nulled else 'rows'} of {table.table}" for table in one.tables
    )


def _files(one: PrunedRun) -> str:
    return f"{counted(len(one.segments), 'file')}, {rough(one.bytes)}B"


def _question(plan: PrunePlan) -> str:
    if not plan.runs:
        return f"Remove {counted(len(plan.left), 'file')} of pruned runs"
    what = f"{counted(len(plan.runs), 'run')} with {counted(plan.rows, 'archived row')}"
    return f"Remove {what} from {plan.destination.shown} permanently"


def _print(plan: PrunePlan, done: Pruned, reason: str, as_json_document: bool) -> None:
    if as_json_document:
        click.echo(as_json(_document(plan, done, reason)))
    elif reason != "dry-run":
        rows = sum(one.rows for one in done.runs)
        runs = f"{counted(len(done.runs), 'run')}, {counted(rows, 'row')}, {counted(done.files, 'file')}"
        click.echo(f"{visible(plan.destination.shown)}: removed {runs}")


def _document(plan: PrunePlan, done: Pruned, reason: str) -> dict[str, Any]:
    codes = {"incomplete": Exit.INCOMPLETE, "declined": Exit.FAILED}
    return {
        "destination": plan.destination.shown, "reason": reason, "exit": int(codes.get(reason, Exit.DONE)),
        "planned": [_run(one) for one in plan.runs], "pruned": [_run(one) for one in done.runs],
        "rows": sum(one.rows for one in done.runs), "files": done.files, "manifest": done.manifest,
        "kept": [*plan.kept], "half_pruned": [*plan.left], "earlier": [one.document() for one in plan.earlier],
    }  # fmt: skip


def _run(one: PrunedRun) -> dict[str, Any]:
    tables = [{"table": table.table, "rows": table.rows, "nulled": table.nulled} for table in one.tables]
    return {
        "run": one.run, "rows": one.rows, "written": one.written, "segments": len(one.segments), "bytes": one.bytes,
        "tables": tables,
    }  # fmt: skip
