"""The command batchops check: only the checks of a plan, for a person or a CI job."""

import os
from collections.abc import Mapping
from typing import Any

import rich_click as click

from batchops.cli.help import Command
from batchops.cli.options import from_spec
from batchops.errors import UsageError
from batchops.reporters.document import as_json
from batchops.reporters.figures import counted, visible
from batchops.spec.models import ARCHIVE, CHANGES, CHILDREN, DATABASE, ROWS, checked, flag_name, flag_of, flagged
from batchops.spec.verb import Plan, Verb
from batchops.verbs import VERBS
from batchops.version import __version__

CHECKED = {name: verb for name, verb in VERBS.items() if verb.asks and verb.spec.argument == "table"}
"""The verbs whose plans have checks: those that ask before they change the rows of a table."""
JOB = (DATABASE, ROWS, CHANGES, CHILDREN, ARCHIVE)
"""The groups of flags that say what a job does; the command has all flags of these groups."""
PLANNED = ("table", "strategy", "key", "allow", "count", "ledger", "ledger_schema", "lock_timeout", "statement_timeout")
"""The other flags on which a plan depends."""
FLAGS = {
    name
    for verb in CHECKED.values()
    for name, field in flagged(verb.spec).items()
    if name in PLANNED or flag_of(field).group in JOB
}


@click.command(
    "check",
    cls=Command,
    help="Check whether a purge, backfill or archive of TABLE is safe and fast. Changes nothing.\n\nThe exit code is 0 "
    "if all checks pass, and 12 if one refuses. --allow NAME overrides one check.",
)
@click.option(
    "--verb", type=click.Choice([*CHECKED]), default=next(iter(CHECKED)), show_default=True, help="The verb to check."
)
@from_spec(*(verb.spec for verb in CHECKED.values()), only=FLAGS)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout, also for errors.")
@click.pass_context
def command(context: click.RichContext, /, verb: str, as_document: bool, **values: Any) -> None:
    """Plan the job and print what the checks found."""
    given = {name: value for name, value in values.items() if value not in (None, ())}
    _known(CHECKED[verb], given)
    with CHECKED[verb].prepare(checked(CHECKED[verb].spec, given), os.environ) as job:
        finished = job.not_run("dry-run")
        if as_document:
            _document(job.plan, finished.exit)
        else:
            _lines(job.plan)
    context.exit(finished.exit)


def _known(verb: Verb, given: Mapping[str, Any]) -> None:
    """Raise UsageError for a flag that only another verb has."""
    for name in given:
        if name not in verb.spec.model_fields:
            having = " or ".join(other for other, each in CHECKED.items() if name in each.spec.model_fields)
            raise UsageError(f"{flag_name(name)}: {verb.name} does not have it.", f"use --verb {having}.")


def _document(plan: Plan, code: int) -> None:
    document = {
        "version": __version__,
        "verb": plan.verb.name,
        "table": plan.label,
        "strategy": plan.strategy,
        "reason": "done" if all(refusal.allowed for refusal in plan.refusals) else "refused",
        "exit": code,
        "checks": [refusal.document() for refusal in plan.refusals],
        "warnings": list(plan.warnings),
    }
    click.echo(as_json(document))


def _lines(plan: Plan) -> None:
    for refusal in plan.refusals:
        click.echo(f"{'allowed' if refusal.allowed else 'refused'}  {visible(f'{refusal.check}: {refusal.text}')}")
    for warning in plan.warnings:
        click.echo(f"warning  {visible(warning)}")
    against = sum(not refusal.allowed for refusal in plan.refusals)
    verdict = f"refused by {counted(against, 'check')}" if against else "no check refuses"
    click.echo(f"{plan.verb.name} {visible(plan.label)} by {plan.strategy}: {verdict}")
