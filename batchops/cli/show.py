"""The command batchops show."""

from typing import Any

import rich_click as click

from batchops import durations
from batchops.cli import completion_sources
from batchops.cli.help import Command
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.cli.run_view import (
    NAME,
    event_document,
    event_line,
    moment,
    progress,
    rejections_document,
    request_document,
    run_document,
    sample_document,
    sample_line,
)
from batchops.errors import UsageError
from batchops.ledger.history import (
    LeaseHolder,
    Recorded,
    load_kept,
    load_rejections,
    load_requests,
    load_ring,
    load_runs,
)
from batchops.reporters.document import as_json
from batchops.reporters.figures import by_table, count, rate, visible
from batchops.runtime.causes import counted_cause


@click.command("show", cls=Command)
@click.argument("name", metavar=NAME, shell_complete=completion_sources.runs)
@ledger_flags
@click.option("--samples", is_flag=True, help="Also the samples of the last hour, one for each heartbeat.")
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
def command(
    name: str, url: str | None, ledger: str | None, ledger_schema: str | None, samples: bool, as_json_document: bool
) -> None:
    """Show a run: its progress, its end, who started it, its plan, its last events, and the command that continues it.

    RUN is its number. TABLE or JOB, a job of a recipe, means the newest run.
    """
    with named_ledger(url, ledger, ledger_schema) as opened:
        found = load_runs(opened, name=name)
        rejections = load_rejections(opened, found[0].run.run) if found else []
        requests = load_requests(opened, found[0]) if found else []
        plan, events = load_kept(opened, found[0].run.run) if found else (None, [])
        ring = load_ring(opened, found[0].run.run) if found and samples else []
    if not found:
        what = f"run {name}" if name.isdecimal() else f'run of a table or job "{name}"'
        raise UsageError(f"There is no {what} in this ledger.", "see `batchops runs`.")
    if as_json_document:
        asked = [request_document(one) for one in requests]
        more: dict[str, Any] = {"rejections": rejections_document(rejections), "requests": asked}
        more |= {"plan": plan["document"] if plan else None, "events": [event_document(one) for one in events]}
        more |= {"samples": [sample_document(one) for one in ring]} if samples else {}
        click.echo(as_json(run_document(found[0]) | more))
        return
    for label, text in _facts(found[0]).items():
        if text:
            click.echo(f"{label:<10}{visible(text)}")
    for name, text in plan["rows"] if plan else ():
        click.echo(f"{'plan':<10}{name}: {visible(text)}")
    for one in rejections:
        click.echo(f"{'rejected':<10}{visible(counted_cause(one))}")
    for request in requests:
        click.echo(f"{'asked':<10}{visible(request.text)}")
    for event in events:
        click.echo(f"{'event':<10}{visible(event_line(event))}")
    for sample in ring:
        click.echo(f"{'sample':<10}{visible(sample_line(sample))}")


def _facts(recorded: Recorded) -> dict[str, str]:
    run, holder = recorded.run, recorded.holder
    role = f" as {run.by['role']}" if run.by["role"] else ""
    return {
        "run": f"{run.run}: {run.verb} {run.table}",
        "job": run.by.get("job", ""),
        "state": recorded.state,
        "progress": progress(recorded),
        "paused": "; ".join(pause.paused.removeprefix("paused ") for pause in recorded.pauses),
        "rate": "" if recorded.rate is None else rate(recorded.rate),
        "waiting": recorded.waiting,
        "rows": f"{count(run.rows)} changed, {count(run.read)} read, in {count(run.batches)} batches",
        "tables": by_table(run.tables),
        "where": run.pinned["condition"] or "every row",
        "set": ", ".join(f"{column} = {value}" for column, value in run.pinned["assignments"]),
        "cut-off": run.pinned["cutoff"] or "",
        "started": f"{moment(run.started_at)} by {run.by['user']} on {run.by['host']}{role}",
        "ended": moment(run.ended_at) or "",
        "detached": f"{run.detached}: neither dropped nor attached again yet" if run.detached else "",
        "process": _process(holder) if holder and recorded.run.state == "running" else "",
        "error": run.error or "",
        "continue": recorded.next or "",
    }


def _process(holder: LeaseHolder) -> str:
    """Return the process that holds the lease, and its last heartbeat or that it is gone."""
    named = f"{holder.owner.pid} on {holder.owner.host}"
    if holder.gone:
        return f"{named}, which is gone"
    return f"{named}, last heartbeat {durations.show(holder.silent)} ago"
