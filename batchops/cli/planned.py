"""The plan as people read it before they say yes, and as --json gives it."""

from collections.abc import Iterator
from typing import Any

from batchops.plan.plan import Plan
from batchops.reporters.figures import count, visible


def plan_lines(plan: Plan, *, whole: bool) -> Iterator[str]:
    """A few aligned lines; with `whole` also the server's own plan of the first statement."""
    frozen, server = plan.frozen, plan.server
    yield f"{plan.verb} {visible(plan.table.label)}"
    facts = {
        "database": f"{plan.database} ({server.product} {server.version})",
        "table": _table(plan),
        "rows": frozen.predicate or "every row",
        "set": ", ".join(f"{column} = {value}" for column, value in frozen.assignments),
        "cut-off": frozen.cutoff or "",
        "to change": "" if plan.estimate is None else f"about {count(plan.estimate)} rows (the planner's estimate)",
        "walk": f"{plan.walk}: {plan.why}",
        "first SQL": plan.statement,
        "resume": plan.goes_on or "",
    }
    for name, text in facts.items():
        if text:
            yield f"  {name:<10}{visible(text)}"
    for i, line in enumerate(plan.explain if whole else ()):
        yield f"  {'explain' if i == 0 else '':<10}{visible(line)}"


def _table(plan: Plan) -> str:
    table = plan.table
    rows = "rows unknown" if table.rows is None else f"about {count(table.rows)} rows"
    size = "" if table.bytes is None else f", {table.bytes / 1048576:,.0f} MiB"
    return f"{table.label}: {rows}{size}"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan's part of the document of a dry run."""
    return {
        "plan": {
            "database": plan.database,
            "product": plan.server.product,
            "server_version": plan.server.version,
            "role": plan.server.role,
            "table_rows": plan.table.rows,
            "table_bytes": plan.table.bytes,
            "predicate": plan.frozen.predicate,
            "set": [f"{column} = {value}" for column, value in plan.frozen.assignments],
            "cutoff": plan.frozen.cutoff,
            "estimate": plan.estimate,
            "walk": plan.walk,
            "why": plan.why,
            "key": list(plan.frozen.key),
            "statement": plan.statement,
            "explain": list(plan.explain),
            "resume": plan.goes_on,
        }
    }
