"""batchops check: the plan's checks alone, for a person or a CI job."""

import os
from typing import Any

import rich_click as click

from batchops.bulk.plan.plan import Plan
from batchops.bulk.prepare import prepare_bulk
from batchops.cli.help import Command
from batchops.cli.options import from_spec
from batchops.cli.plan_view import checks_document
from batchops.errors import UsageError
from batchops.reporters.document import as_json
from batchops.reporters.figures import visible
from batchops.spec.models import BackfillSpec, BulkSpec, PurgeSpec, checked
from batchops.version import __version__

FLAGS = (
    "table", "url", "where", "older_than", "before", "by", "ids", "all_rows", "set", "strategy", "key", "allow",
    "count", "ledger", "ledger_schema", "lock_timeout", "statement_timeout",
)  # fmt: skip
MODELS: dict[str, type[BulkSpec]] = {"purge": PurgeSpec, "backfill": BackfillSpec}


@click.command(
    "check",
    cls=Command,
    help="Check whether a purge or backfill of TABLE is safe and fast. Changes nothing.\n\nThe exit code is 0 if "
    "all checks pass, and 12 if one refuses. --allow NAME overrides one check.",
)
@click.option("--verb", type=click.Choice(list(MODELS)), default="purge", show_default=True, help="The verb to check.")
@from_spec(BackfillSpec, only=FLAGS)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout, also for errors.")
@click.pass_context
def command(context: click.RichContext, /, verb: str, as_document: bool, **values: Any) -> None:
    """Plan it, and say what the checks found."""
    given = {name: value for name, value in values.items() if value not in (None, ())}
    if verb == "purge" and "set" in given:
        raise UsageError("--set: a purge sets nothing.", "say --verb backfill.")
    with prepare_bulk(verb, checked(MODELS[verb], given), os.environ) as job:
        finished = job.ended("dry-run")
        if as_document:
            _document(job.plan, finished.exit, job.warnings)
        else:
            _lines(job.plan, job.warnings)
    context.exit(finished.exit)


def _document(plan: Plan, code: int, warnings: tuple[str, ...]) -> None:
    checks = checks_document(plan)
    output = {"version": __version__, "verb": plan.verb, "table": plan.table.label, "strategy": plan.strategy}
    reason = "refused" if plan.refused else "done"
    click.echo(as_json({**output, "reason": reason, "exit": code, "checks": checks, "warnings": list(warnings)}))


def _lines(plan: Plan, warnings: tuple[str, ...]) -> None:
    for refusal in plan.refusals:
        click.echo(f"{'allowed' if refusal.allowed else 'refused'}  {visible(f'{refusal.check}: {refusal.text}')}")
    for warning in warnings:
        click.echo(f"warning  {visible(warning)}")
    against = sum(not refusal.allowed for refusal in plan.refusals)
    verdict = f"{against} against it" if against else "nothing against it"
    click.echo(f"{plan.verb} {visible(plan.table.label)} by {plan.strategy}: {verdict}")
