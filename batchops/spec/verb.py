"""Verb, Plan and Job: a verb, the plan of its job that is shown, and the job that is run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self

from batchops.db.recorded_statements import Rehearsed
from batchops.events import Emit, Finished
from batchops.runtime.refusal import Refusal
from batchops.runtime.stop import Stop
from batchops.spec.models import VerbSpec


class Plan(Protocol):
    """What a job would do, found by reading only; it can still be shown once the job's database is closed."""

    @property
    def verb(self) -> "Verb": ...
    @property
    def label(self) -> str:
        """The name of the table, for people."""

    @property
    def strategy(self) -> str: ...
    @property
    def question(self) -> str:
        """The question before the job runs; empty if there is none."""

    @property
    def summary(self) -> str:
        """The plan in one line."""

    @property
    def refusals(self) -> Sequence[Refusal]:
        """The refusals of the checks, with those that the user has allowed."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def rehearsed(self) -> "Plan":
        """Return the plan with the job's first statements, which a dry run shows; the database must be open."""

    def rows(self, *, whole: bool) -> Iterator[tuple[str, str]]:
        """Yield names and texts for people; with `whole` also the server's own plans and every refusal."""

    def document(self) -> dict[str, Any]:
        """Return the plan as a document for programs."""


def kept_plan(plan: Plan) -> dict[str, Any]:
    """Return what the ledger keeps of a plan: names and texts for people, and the document for programs."""
    return {"rows": [list(row) for row in plan.rows(whole=False)], "document": plan.document()}


class Job(Protocol):
    """A verb that is prepared on one database."""

    @property
    def plan(self) -> Plan: ...

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run the job. An error before it has begun is raised; later errors are in the result."""

    def not_run(self, reason: str) -> Finished:
        """Return the end of a job that is not run, for the reason "dry-run" or "declined"."""


@dataclass(frozen=True)
class RecipeCall:
    """The recipe's job that a spec comes from; empty if it comes from a command."""

    job: str = ""
    command: str = ""
    """The command that runs only that job, with the same parameters."""


DIRECT = RecipeCall()


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A command that does work on one table in batches."""

    name: str
    spec: type[VerbSpec]
    help: str
    participle: str
    """What the verb has done to a row, as a word: deleted."""
    prepare: Callable[..., AbstractContextManager[Job]]
    """Called with (spec, environ, recipe=DIRECT): yields the job without writing anything, or raises BatchopsError."""
    asks: bool = False
    """Whether the command asks a question before the job runs."""
    group: str = ""
    """The command group that the verb belongs to; empty for a top-level command."""

    @property
    def command(self) -> str:
        """The words after `batchops` that name the command."""
        return f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class FactsPlan:
    """The plan of a verb that asks no question: facts as names and texts."""

    verb: Verb
    label: str
    strategy: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    rehearse: Callable[[], Sequence[Rehearsed]]
    """Returns the job's first statements without running them."""
    statements: tuple[Rehearsed, ...] | None = None
    question: str = ""
    refusals: tuple[Refusal, ...] = ()

    @property
    def summary(self) -> str:
        facts = ", ".join(f"{name} {text}" for name, text in self.facts if name in ("rows", "to") and text)
        return f"{self.verb.name} {self.label}: {facts}"

    def rehearsed(self) -> Self:
        return replace(self, statements=tuple(self.rehearse()))

    def rows(self, *, whole: bool) -> Iterator[tuple[str, str]]:
        yield from self.facts
        for one in (self.statements or ()) if whole else ():
            yield f"{one.what} SQL", one.sql
            yield from (("" if i else "explain", line) for i, line in enumerate(one.explain))

    def document(self) -> dict[str, Any]:
        statements = {} if self.statements is None else {"statements": [asdict(one) for one in self.statements]}
        return dict(self.facts) | statements
