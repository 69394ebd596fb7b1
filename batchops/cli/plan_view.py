"""The plan as people read it before they say yes, and as --json gives it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from batchops import durations
from batchops.bulk.plan.plan import COUNTED, Plan
from batchops.bulk.plan.referenced_rows import Staying
from batchops.reporters.figures import count, counted, rough, visible
from batchops.verbs import Job

UNDO = {
    "purge": "deleted rows are gone batch by batch: only a backup has them",
    "backfill": "the old values are overwritten batch by batch: only a backup has them",
}


def plan_lines(plan: Plan, *, whole: bool) -> Iterator[str]:
    """A few aligned lines; with `whole` also the server's own plans and every check that refuses."""
    yield f"{plan.verb} {visible(plan.table.label)}"
    for name, text in _rows(plan, whole=whole):
        yield f"  {name:<10}{visible(text)}"


def job_plan_lines(job: Job, *, whole: bool) -> Iterator[str]:
    """The plan of a job of any verb."""
    if isinstance(job.plan, Plan):
        yield from plan_lines(job.plan, whole=whole)
        return
    finished = job.ended("dry-run")
    yield f"{finished.verb} {visible(finished.table)}"
    yield from (f"  {name:<10}{visible(text)}" for name, text in job.plan)
    for one in job.rehearse() if whole else ():
        yield f"  {one.what + ' SQL':<10}{visible(one.sql)}"
        yield from (f"  {'explain' if i == 0 else '':<10}{visible(line)}" for i, line in enumerate(one.explain))


def job_plan_document(job: Job, *, whole: bool) -> dict[str, Any]:
    """The plan's part of the document, of a job of any verb; with `whole` also the first statements."""
    if isinstance(job.plan, Plan):
        return plan_document(job.plan)
    said = {"statements": [asdict(one) for one in job.rehearse()]} if whole else {}
    return {"plan": dict(job.plan) | said}


def show_plan(plan: Plan) -> None:
    """On a terminal, on stderr: the same, each row wrapped under its own beginning."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stderr, highlight=False)
    console.print(Text(f"{plan.verb} {visible(plan.table.label)}", style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _rows(plan, whole=False):
        grid.add_row(Text(f"  {name}"), Text(visible(text), style="yellow" if name == "allowed" else ""))
    console.print(grid)


def _rows(plan: Plan, *, whole: bool) -> Iterator[tuple[str, str]]:
    pinned = plan.pinned
    facts = {
        "database": _database(plan),
        "table": _table(plan),
        "rows": pinned.condition or ("every row" if pinned.listed is None else "those of the ids"),
        "ids": _ids(plan),
        "set": ", ".join(f"{column} = {value}" for column, value in pinned.assignments),
        "cut-off": pinned.cutoff or "",
        "to change": "" if plan.estimate is None else _to_change(plan),
        "stay": ", ".join(_staying(one) for one in plan.staying),
        "strategy": f"{plan.strategy}: {plan.why}" + (f"; index {plan.index}" if whole else ""),
        "pacing": plan.pacing + (f"; ends after {plan.limits}" if plan.limits else ""),
        "takes": _takes(plan),
        "first SQL": plan.statement,
        "undo": UNDO[plan.verb],
        "space": _space(plan),
        "droppable": ", ".join(plan.droppable),
        "resume": plan.goes_on or "",
    }
    yield from ((name, text) for name, text in facts.items() if text)
    for refusal in plan.refusals:
        if refusal.allowed or whole:
            yield "allowed" if refusal.allowed else "refused", f"{refusal.check}: {refusal.text}"
    if whole:
        yield from (("warning", warning) for warning in plan.facts.warnings)
        yield from _explained(plan)


def _explained(plan: Plan) -> Iterator[tuple[str, str]]:
    for probe in plan.explained:
        if probe.place != "start":
            yield probe.place, probe.statement
        for i, line in enumerate(probe.explain):
            yield "explain" if i == 0 else "", line


def _database(plan: Plan) -> str:
    server = plan.server
    role = f", as {server.role}" if server.role else ""
    replicas = f", {counted(len(plan.facts.replicas), 'replica')}" if plan.facts.replicas else ""
    return f"{plan.database} ({server.product} {server.version}{role}{replicas})"


def _table(plan: Plan) -> str:
    table = plan.table
    rows = "rows unknown" if table.rows is None else f"about {count(table.rows)} rows"
    size = "" if table.bytes is None else f", {table.bytes / 1048576:,.0f} MiB"
    return f"{table.label}: {rows}{size}"


def _to_change(plan: Plan) -> str:
    assert plan.estimate is not None  # shown only where it is known
    if plan.estimated_by == COUNTED:
        return f"{counted(plan.estimate, 'row')} (counted)"
    return f"about {counted(plan.estimate, 'row')} ({plan.estimated_by})"


def _ids(plan: Plan) -> str:
    listed = plan.pinned.listed
    if listed is None:
        return ""
    missing = f", {count(listed.not_there)} of them not in the table" if listed.not_there else ""
    return f"{counted(listed.ids, 'id')} in {plan.id_file}{missing}"


def _staying(one: Staying) -> str:
    return f"{'an unknown number of rows' if one.rows is None else counted(one.rows, 'row')} {one.what}"


def _takes(plan: Plan) -> str:
    cost = plan.cost
    time = "" if cost.seconds is None else f"about {durations.show(max(cost.seconds, 0.1))} ({cost.seconds_basis})"
    log = "" if not cost.log_bytes else f"up to about {rough(cost.log_bytes)}B of {cost.log}"
    return "; ".join(part for part in (time, log) if part)


def _space(plan: Plan) -> str:
    if plan.verb != "purge" or not plan.facts.frees_space:
        return ""
    return f"stays the table's for new rows; {plan.facts.frees_space} gives it back to the disk"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan's part of the document of a dry run."""
    return {
        "plan": {
            "database": plan.database,
            "product": plan.server.product,
            "server_version": plan.server.version,
            "role": plan.server.role,
            "replicas": list(plan.facts.replicas),
            "table_rows": plan.table.rows,
            "table_bytes": plan.table.bytes,
            "condition": plan.pinned.condition,
            "ids": None if plan.pinned.listed is None else {"file": plan.id_file} | asdict(plan.pinned.listed),
            "set": [f"{column} = {value}" for column, value in plan.pinned.assignments],
            "cutoff": plan.pinned.cutoff,
            "estimate": plan.estimate,
            "estimated_by": plan.estimated_by,
            "strategy": plan.strategy,
            "why": plan.why,
            "key": list(plan.pinned.key),
            "index": plan.index,
            "statement": plan.statement,
            "explain": list(plan.explain),
            "explained": [
                {"place": probe.place, "statement": probe.statement, "explain": list(probe.explain)}
                for probe in plan.explained
            ],
            "pacing": plan.pacing,
            "limits": plan.limits or None,
            "seconds": None if plan.cost.seconds is None else round(plan.cost.seconds, 1),
            "seconds_basis": plan.cost.seconds_basis,
            "log": plan.cost.log,
            "log_bytes": plan.cost.log_bytes,
            "log_basis": plan.cost.log_basis,
            "free_bytes": plan.facts.free_bytes,
            "undo": UNDO[plan.verb],
            "space": _space(plan) or None,
            "droppable": list(plan.droppable),
            "staying": [{"rows": one.rows, "reason": one.what, "first": list(one.names)} for one in plan.staying],
            "resume": plan.goes_on,
            "warnings": list(plan.facts.warnings),
            "checks": checks_document(plan),
        }
    }


def checks_document(plan: Plan) -> list[dict[str, Any]]:
    """What the checks found."""
    return [
        {
            "name": refusal.check,
            "state": "allowed" if refusal.allowed else "refused",
            "message": refusal.message,
            "hint": refusal.hint or None,
        }
        for refusal in plan.refusals
    ]
