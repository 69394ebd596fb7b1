"""batchops show."""

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.help import Command
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.cli.run_view import NAME, moment, progress, rejections_document, request_document, run_document
from batchops.errors import UsageError
from batchops.ledger.history import Recorded, load_rejections, load_requests, load_runs
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, visible
from batchops.runtime.causes import counted_cause


@click.command("show", cls=Command)
@click.argument("name", metavar=NAME, shell_complete=completion_sources.runs)
@ledger_flags
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
def command(name: str, url: str | None, ledger: str | None, ledger_schema: str | None, as_json_document: bool) -> None:
    """Show a run: its progress, its end, who started it, and the command that continues it.

    RUN is its number. TABLE or JOB, a job of a recipe, means the newest run.
    """
    with named_ledger(url, ledger, ledger_schema) as opened:
        found = load_runs(opened, name=name)
        rejections = load_rejections(opened, found[0].run.run) if found else []
        requests = load_requests(opened, found[0]) if found else []
    if not found:
        what = f"run {name}" if name.isdecimal() else f'run of a table or job "{name}"'
        raise UsageError(f"There is no {what} in this ledger.", "see `batchops runs`.")
    if as_json_document:
        asked = [request_document(one) for one in requests]
        more = {"rejections": rejections_document(rejections), "requests": asked}
        click.echo(as_json(run_document(found[0]) | more))
        return
    for label, text in _facts(found[0]).items():
        if text:
            click.echo(f"{label:<10}{visible(text)}")
    for one in rejections:
        click.echo(f"{'rejected':<10}{visible(counted_cause(one))}")
    for request in requests:
        click.echo(f"{'asked':<10}{visible(request.text)}")


def _facts(recorded: Recorded) -> dict[str, str]:
    run, holder = recorded.run, recorded.holder
    role = f" as {run.by['role']}" if run.by["role"] else ""
    return {
        "run": f"{run.run}: {run.verb} {run.table}",
        "job": run.by.get("job", ""),
        "state": recorded.state,
        "progress": progress(recorded),
        "paused": "; ".join(pause.paused.removeprefix("paused ") for pause in recorded.pauses),
        "rows": f"{count(run.rows)} changed, {count(run.read)} read, in {count(run.batches)} batches",
        "where": run.pinned["condition"] or "every row",
        "set": ", ".join(f"{column} = {value}" for column, value in run.pinned["assignments"]),
        "cut-off": run.pinned["cutoff"] or "",
        "started": f"{moment(run.started_at)} by {run.by['user']} on {run.by['host']}{role}",
        "ended": moment(run.ended_at) or "",
        "process": f"{holder.owner.pid} on {holder.owner.host}" if holder and holder.alive else "",
        "error": run.error or "",
        "continue": recorded.next or "",
    }
