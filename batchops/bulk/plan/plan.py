"""What a run would do, shown before it starts."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from batchops import durations
from batchops.bulk.children.plan import ChildrenPlan
from batchops.bulk.plan.cost import Cost, first_rows
from batchops.bulk.plan.list_bytes import list_bytes
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.plan.probes import Explained
from batchops.bulk.plan.referenced_rows import ExcludedCount
from batchops.bulk.strategies import strategy_kind
from batchops.bulk.verb import BulkVerb
from batchops.db.catalog import Server
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.reporters.figures import count, counted, rough
from batchops.runtime.rate import Rate
from batchops.runtime.refusal import Refusal
from batchops.throttles.chosen import ChosenThrottle

COUNTED = "counted"
"""The `estimated_by` of a number that was counted."""


@dataclass(frozen=True)
class BulkPlan:
    """What a run would do, found out by reading only."""

    verb: BulkVerb
    database: str
    """The URL without its password."""
    name: str
    """The database's name in short."""
    server: Server
    table: Table
    facts: TableFacts
    pinned: Pinned
    strategy: str
    why: str
    """Why this strategy was chosen."""
    estimate: int | None
    """How many rows match; None if unknown."""
    estimated_by: str
    """How that number was found, in words: counted, the planner's estimate, or a sample."""
    index: str
    """What finds a batch's rows, in words."""
    explained: tuple[Explained, ...]
    cost: Cost
    goes_on: str | None
    """How the run goes on from an earlier one, in words; None for a run from the beginning."""
    pacing: str
    limits: str
    target: float
    """Seconds that a batch should take."""
    throttles: tuple[ChosenThrottle, ...] = ()
    rate: Rate | None = None
    """The most rows a second that the run changes; None: no such limit."""
    afterwards: tuple[str, ...] = ()
    """Statements that follow the last batch."""
    max_rows: int | None = None
    done: bool = False
    """Whether an earlier run has done the job, and it is not done again."""
    id_file: str = ""
    """The name of the file with the listed ids, for people."""
    droppable: tuple[str, ...] = ()
    """Partitions that the condition covers whole."""
    dropping: tuple[tuple[str, str], ...] = ()
    """Which of them are dropped, and how, as names and texts."""
    left_out: tuple[ExcludedCount, ...] = ()
    """Matching rows that other tables refer to."""
    out: tuple[tuple[str, str], ...] = ()
    """Where an archive copies its rows, as names and texts."""
    children: ChildrenPlan | None = None
    """The tables whose rows are deleted with these; None without --with-children."""
    refusals: tuple[Refusal, ...] = ()
    """What the checks refuse, allowed refusals included."""
    warnings: tuple[str, ...] = ()
    """All warnings, those about the table included."""

    @property
    def first_rows(self) -> int:
        """How many rows the first batch has if --batch-size does not fix that."""
        return first_rows(self.verb.right, self.table, self.facts, self.target)

    @property
    def refers_to_itself(self) -> bool:
        """Whether another row of the table can keep a row from being deleted."""
        return any(reference.restricts_own for reference in self.facts.references)

    @property
    def lists(self) -> bool:
        """Whether the run begins by listing its rows."""
        return strategy_kind(self.strategy).evaluates_once and self.pinned.row_list is None

    @property
    def statement(self) -> str:
        """The first writing statement."""
        return self.explained[0].statement

    @property
    def explain(self) -> tuple[str, ...]:
        """The server's own plan of the first writing statement."""
        return self.explained[0].explain

    @property
    def refused(self) -> bool:
        """Whether a run would be refused."""
        return any(not refusal.allowed for refusal in self.refusals)

    @property
    def label(self) -> str:
        """The table's name as people know it."""
        return self.table.label

    @property
    def question(self) -> str:
        """The question to the user before the run; empty if there is nothing to do."""
        if self.done:
            return ""
        rows = _rows_asked(self) + ("" if self.children is None else f" with {self.children.question}")
        return f"{self.verb.question.format(rows=rows, table=self.label)} on {self.name}?"

    @property
    def summary(self) -> str:
        """The plan in one line."""
        rows = _rows_asked(self) if self.estimate is None else _to_change(self)
        time = "" if self.cost.seconds is None else f", about {durations.show(max(self.cost.seconds, 0.1))}"
        left = f"; {self.goes_on}" if self.goes_on else ""
        return f"{self.verb.name} {self.label}: {rows} by {self.strategy}{time}{left}"

    def rehearsed(self) -> Self:
        """Return the plan itself: it has its statements from the beginning."""
        return self

    def rows(self, *, whole: bool) -> Iterator[tuple[str, str]]:
        """Yield names and texts for people; with `whole` also the server's own plans and every refusal."""
        pinned = self.pinned
        facts = {
            "database": _database(self),
            "table": _table(self),
            "rows": pinned.condition or ("every row" if pinned.listed is None else "the rows of the ids"),
            "ids": _ids(self),
            "set": ", ".join(f"{column} = {value}" for column, value in pinned.assignments),
            **dict(self.out),
            "cut-off": pinned.cutoff or "",
            "to change": "" if self.estimate is None else _to_change(self),
            "stay": ", ".join(_left_out_text(one) for one in self.left_out),
            "strategy": f"{self.strategy}: {self.why}" + (f"; index {self.index}" if whole else ""),
            "list": _list(self),
            "pacing": self.pacing + (f"; ends after {self.limits}" if self.limits else ""),
            "throttles": "; ".join(one.text for one in self.throttles),
            "takes": _takes(self),
            "list SQL" if self.lists else "first SQL": self.statement,
            "undo": self.verb.undo,
            "space": _space(self),
            "then": ", ".join(self.afterwards),
            "droppable": ", ".join(self.droppable),
            "resume": self.goes_on or "",
        }
        yield from ((name, text) for name, text in facts.items() if text)
        yield from self.dropping
        yield from self.children.rows() if self.children else ()
        if whole:
            yield from (("warning", warning) for warning in self.facts.warnings)
            yield from _explained(self)
        for refusal in self.refusals:
            if refusal.allowed or whole:
                yield "allowed" if refusal.allowed else "refused", f"{refusal.check}: {refusal.text}"

    def document(self) -> dict[str, Any]:
        """Return the plan for programs."""
        return {
            "database": self.database,
            "product": self.server.product,
            "server_version": self.server.version,
            "role": self.server.role,
            "replicas": list(self.facts.replicas),
            "table_rows": self.table.rows,
            "table_bytes": self.table.bytes,
            "condition": self.pinned.condition,
            "ids": None if self.pinned.listed is None else {"file": self.id_file} | asdict(self.pinned.listed),
            "set": [f"{column} = {value}" for column, value in self.pinned.assignments],
            "cutoff": self.pinned.cutoff,
            "estimate": self.estimate,
            "estimated_by": self.estimated_by,
            "strategy": self.strategy,
            "why": self.why,
            "key": list(self.pinned.key),
            "list": _list(self) or None,
            "index": self.index,
            "statement": self.statement,
            "explain": list(self.explain),
            "explained": [
                {"place": probe.place, "statement": probe.statement, "explain": list(probe.explain)}
                for probe in self.explained
            ],
            "pacing": self.pacing,
            "limits": self.limits or None,
            "throttles": [one.document() for one in self.throttles],
            "seconds": None if self.cost.seconds is None else round(self.cost.seconds, 1),
            "seconds_basis": self.cost.seconds_basis,
            "log": self.cost.log,
            "log_bytes": self.cost.log_bytes,
            "log_basis": self.cost.log_basis,
            "free_bytes": self.facts.free_bytes,
            "undo": self.verb.undo,
            "space": _space(self) or None,
            "afterwards": list(self.afterwards),
            "droppable": list(self.droppable),
            "dropping": [text for _, text in self.dropping],
            "left_out": [{"rows": one.rows, "reason": one.what, "first": list(one.names)} for one in self.left_out],
            "resume": self.goes_on,
            "warnings": list(self.facts.warnings),
            "checks": [refusal.document() for refusal in self.refusals],
        } | _further(self)


def _further(plan: BulkPlan) -> dict[str, Any]:
    """Return the fields that only some plans have."""
    archive = {"archive": dict(plan.out)} if plan.out else {}
    return archive | ({"children": plan.children.document()} if plan.children else {})


def _explained(plan: BulkPlan) -> Iterator[tuple[str, str]]:
    for probe in plan.explained:
        if probe.place != "start":
            yield probe.place, probe.statement
        for i, line in enumerate(probe.explain):
            yield "explain" if i == 0 else "", line


def _database(plan: BulkPlan) -> str:
    server = plan.server
    role = f", as {server.role}" if server.role else ""
    replicas = f", {counted(len(plan.facts.replicas), 'replica')}" if plan.facts.replicas else ""
    return f"{plan.database} ({server.product} {server.version}{role}{replicas})"


def _table(plan: BulkPlan) -> str:
    table = plan.table
    rows = "rows unknown" if table.rows is None else f"about {count(table.rows)} rows"
    size = "" if table.bytes is None else f", {table.bytes / 1048576:,.0f} MiB"
    return f"{table.label}: {rows}{size}"


def _to_change(plan: BulkPlan) -> str:
    assert plan.estimate is not None  # shown only where it is known
    if plan.estimated_by == COUNTED:
        return f"{counted(plan.estimate, 'row')} (counted)"
    return f"about {counted(plan.estimate, 'row')} ({plan.estimated_by})"


def _ids(plan: BulkPlan) -> str:
    if (listed := plan.pinned.listed) is None:
        return ""
    missing = f", {count(listed.not_there)} of them not in the table" if listed.not_there else ""
    return f"{counted(listed.ids, 'id')} in {plan.id_file}{missing}"


def _left_out_text(one: ExcludedCount) -> str:
    return f"{'an unknown number of rows' if one.rows is None else counted(one.rows, 'row')} {one.what}"


def _list(plan: BulkPlan) -> str:
    """Return where the rows are listed, and how much space that takes; empty without a list."""
    if plan.pinned.row_list is not None:
        return f"{counted(plan.pinned.row_list.rows, 'row')}, evaluated once, at {plan.pinned.row_list.at}"
    if not plan.lists:
        return ""
    size = "" if plan.estimate is None else f", about {rough(list_bytes(plan.pinned, plan.estimate))}B"
    return f"evaluated once, at the start, into a table beside the ledger{size}"


def _takes(plan: BulkPlan) -> str:
    cost = plan.cost
    time = "" if cost.seconds is None else f"about {durations.show(max(cost.seconds, 0.1))} ({cost.seconds_basis})"
    log = "" if not cost.log_bytes else f"up to about {rough(cost.log_bytes)}B of {cost.log}"
    return "; ".join(part for part in (time, log) if part)


def _space(plan: BulkPlan) -> str:
    if not plan.verb.removes or not plan.facts.frees_space:
        return ""
    return f"stays in the table for new rows; {plan.facts.frees_space} returns it to the disk"


def _rows_asked(plan: BulkPlan) -> str:
    """Return the number of rows in words, for a question or a summary."""
    if plan.estimate is None:
        return "every row" if plan.pinned.condition is None and plan.pinned.listed is None else "the rows that match"
    rows = counted(plan.estimate, "row")
    matching = rows if plan.estimated_by == COUNTED else f"about {rows}"
    return (
        matching if plan.max_rows is None or plan.max_rows >= plan.estimate else f"{count(plan.max_rows)} of {matching}"
    )
