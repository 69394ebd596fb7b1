"""The command batchops orphans: counts rows whose parent is gone; with --purge it deletes them in batches."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import rich_click as click

from batchops.bulk.children.edge_text import AskedEdges, declared_edge
from batchops.bulk.orphans import Orphans, orphans, purge_options, to_delete
from batchops.bulk.purge import VERB
from batchops.bulk.spec import PurgeSpec
from batchops.cli import completion_sources
from batchops.cli.execute import may_ask, print_result
from batchops.cli.help import Command
from batchops.cli.options import from_spec, output_options
from batchops.cli.output import Output, note
from batchops.cli.run import JobsRun
from batchops.db.database import Database, connect
from batchops.db.sessions import Timeouts
from batchops.db.urls import address
from batchops.errors import Exit, UsageError
from batchops.recipes.recipe import RecipeJob
from batchops.recipes.run_all import gravest
from batchops.reporters.document import as_json
from batchops.reporters.figures import counted, visible
from batchops.spec.models import ROWS, checked, flag_name, flag_of, flagged
from batchops.version import __version__

LOOKING = ("url", "child", "lock_timeout", "statement_timeout")
"""The flags that counting takes; every other flag of a purge needs --purge."""
FLAGS = {
    name
    for name, field in flagged(PurgeSpec).items()
    if flag_of(field).group != ROWS and name not in ("table", "key", "drop_partitions", "mark", "max_total")
}


@click.command(
    "orphans",
    cls=Command,
    help="Count the rows of TABLE, or of --all tables, whose parent row is gone.\n\nbatchops looks along references "
    "that no constraint vouches for: those that --child declares, and foreign keys that are not validated or not "
    "enforced. --purge deletes the rows in batches, as batchops purge does; it asks first.\n\n--exit-code: without "
    "--purge, 3 if there are orphans.\n\nExample: batchops orphans comments --child "
    '"comments.post_id -> posts.id"',
)
@click.argument("table", required=False, shell_complete=completion_sources.tables)
@click.option("--all", "every_table", is_flag=True, help="Look at every table.")
@click.option("--purge", "delete", is_flag=True, help="Delete the orphans in small transactions.")
@from_spec(PurgeSpec, only=FLAGS)
@output_options
@click.pass_context
def command(
    context: click.RichContext, /, table: str | None, every_table: bool, delete: bool, **values: Any
) -> None:  # fmt: skip
    """Count the orphans, and delete them with --purge."""
    output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
    given = {name: value for name, value in values.items() if value not in (None, ())}
    if (table is None) == (not every_table):
        raise UsageError("Which table? Give TABLE, or --all.", "batchops orphans comments, or batchops orphans --all.")
    extra = next((name for name in given if name not in LOOKING), None)
    if extra is not None and not delete:
        raise UsageError(f"{flag_name(extra)} needs --purge: looking for orphans changes nothing.")
    if delete:
        may_ask(output)
    asked = AskedEdges(tuple(_declared(text) for text in given.get("child", ())))
    found = _found(table, asked, given)
    jobs = _jobs(to_delete(found), given) if delete else ()
    for warning in () if jobs or output.quiet else address(given.get("url"), os.environ).warnings:
        note(f"warning: {warning}")  # otherwise the jobs emit it
    context.exit(_purge(table, asked, given, found, jobs, output) if jobs else _report(found, output, delete=delete))


def _declared(text: str) -> Any:
    try:
        return declared_edge(text)
    except ValueError as error:
        raise UsageError(f"--child: {error}.") from None


def _found(table: str | None, asked: AskedEdges, given: Mapping[str, Any]) -> tuple[Orphans, ...]:
    with closing(_connected(given)) as database, database.reading() as connection:
        seconds = _timeouts(given).statement
        return tuple(orphans(connection, database, table, asked, seconds))


def _connected(given: Mapping[str, Any]) -> Database:
    return connect(address(given.get("url"), os.environ), _timeouts(given))


def _timeouts(given: Mapping[str, Any]) -> Timeouts:
    names = {name: given[name] for name in ("lock_timeout", "statement_timeout") if name in given}
    spec = checked(PurgeSpec, {"table": "any", "all_rows": True, **names})
    return Timeouts(spec.lock_timeout.total_seconds(), spec.statement_timeout.total_seconds())


def _jobs(found: Sequence[Orphans], given: Mapping[str, Any]) -> tuple[RecipeJob, ...]:
    kept = given if "with_children" in given else {name: given[name] for name in given if name != "child"}
    return tuple(
        RecipeJob(one.edge.label, VERB, checked(PurgeSpec, {**kept, **purge_options(one)}), in_file=False)
        for one in found
    )


def _purge(
    table: str | None, asked: AskedEdges, given: Mapping[str, Any], found: Sequence[Orphans],
    jobs: Sequence[RecipeJob], output: Output,
) -> int:  # fmt: skip
    """Run a purge for each reference, parents first; then count the rows that are left. Return the exit code."""
    if not output.quiet:
        for line in _lines(found):
            note(line)
    run = JobsRun("orphans", jobs, output, {"orphans": [one.document() for one in found]})
    code = run.exit()
    if code != Exit.DONE or output.dry_run:
        return code
    left = [one for one in _found(table, asked, given) if one.rows != 0]
    for one in left:
        note(f"{visible(one.edge.label)}: {_many(one)} left; {_way_out(one)}")
    return gravest([code, *(int(Exit.INCOMPLETE) for _ in left[:1])])


def _way_out(one: Orphans) -> str:
    if not one.can_go:
        return "the database deletes no row of a table whose foreign key names no table: drop or correct it first."
    return "--with-children deletes what refers to them too."


def _report(found: Sequence[Orphans], output: Output, *, delete: bool) -> int:
    """Print what was found and return the exit code; `delete`: --purge was given, but nothing can be deleted."""
    unknown, total = any(one.rows is None for one in found), sum(one.rows or 0 for one in found)
    nothing = Exit.NOTHING if delete and output.exit_code else Exit.DONE
    code = Exit.INCOMPLETE if unknown or (total and (output.exit_code or delete)) else Exit.DONE if total else nothing
    for one in found if delete else ():
        if one.rows:
            note(f"{visible(one.edge.label)}: {_way_out(one)}")
    if output.as_json:
        document = {
            "version": __version__, "verb": "orphans",
            "reason": "incomplete" if unknown or (total and delete) else "done", "exit": int(code),
            "rows": None if unknown else total, "orphans": [one.document() for one in found],
        }  # fmt: skip
        print_result(as_json(document))
    elif not output.quiet or code:
        for line in (*_lines(found), _total(found, total)):
            print_result(line)
    return int(code)


def _lines(found: Sequence[Orphans]) -> list[str]:
    labels = [visible(one.edge.label) for one in found]
    counts = [_many(one) for one in found]
    widths = max(map(len, labels), default=0), max(map(len, counts), default=0)
    return [
        f"{label:<{widths[0]}}  {many:<{widths[1]}}  {one.why}{_first(one)}"
        for label, many, one in zip(labels, counts, found, strict=True)
    ]


def _many(one: Orphans) -> str:
    return "not counted" if one.rows is None else counted(one.rows, "orphan")


def _first(one: Orphans) -> str:
    if one.problem:
        return f": {visible(one.problem)}"
    more = " …" if one.rows is not None and one.rows > len(one.first) else ""
    return f": {visible('; '.join(one.first))}{more}" if one.first else ""


def _total(found: Sequence[Orphans], total: int) -> str:
    if not found:
        return "Nothing to look at: each foreign key is validated and enforced. --child declares other references."
    return f"{counted(total, 'orphan')} along {counted(len(found), 'reference')}"
