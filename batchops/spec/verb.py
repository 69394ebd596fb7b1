"""A verb, and what a spec of it becomes: a plan that is shown, a job that is run."""

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
    """What a job would do, found out by reading alone. It stays readable once the job's database is closed."""

    @property
    def verb(self) -> "Verb": ...
    @property
    def label(self) -> str:
        """The table's name as people know it."""

    @property
    def strategy(self) -> str: ...
    @property
    def question(self) -> str:
        """What a person is asked before the job runs; empty where nobody is asked."""

    @property
    def summary(self) -> str:
        """The plan in one line."""

    @property
    def refusals(self) -> Sequence[Refusal]:
        """What the checks have against the job, the allowed ones too."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def rehearsed(self) -> "Plan":
        """The plan with the job's first statements, which a dry run shows; its database must be open."""

    def rows(self, *, whole: bool) -> Iterator[tuple[str, str]]:
        """Names and texts for people; with `whole` also the server's own plans and every refusal."""

    def document(self) -> dict[str, Any]:
        """The same for programs."""


def kept_plan(plan: Plan) -> dict[str, Any]:
    """What the ledger keeps of a plan: names and texts for people, and the document for programs."""
    return {"rows": [list(row) for row in plan.rows(whole=False)], "document": plan.document()}


class Job(Protocol):
    """A verb that is prepared on one database."""

    @property
    def plan(self) -> Plan: ...

    def run(self, emit: Emit, stop: Stop) -> Finished:
        """Run it. After it has begun, every error is in what is returned; before that it is raised."""

    def not_run(self, reason: str) -> Finished:
        """How it ends where it is not run: "dry-run" or "declined"."""


@dataclass(frozen=True)
class RecipeCall:
    """The job of a recipe that a spec comes from; empty for a command of its own."""

    job: str = ""
    command: str = ""
    """Runs that job alone, with the same parameters."""


DIRECT = RecipeCall()


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A command that does work on one table in batches."""

    name: str
    spec: type[VerbSpec]
    help: str
    participle: str
    """What has become of a row that was worked on: deleted."""
    prepare: Callable[..., AbstractContextManager[Job]]
    """(spec, environ, recipe=DIRECT) gives the job without writing anything, or raises BatchopsError."""
    asks: bool = False
    """Whether a person is asked before a job runs."""
    group: str = ""
    """The command that it is a part of."""

    @property
    def command(self) -> str:
        """What a person types behind `batchops`."""
        return f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class FactsPlan:
    """The plan of a verb that asks nobody: facts as names and texts."""

    verb: Verb
    label: str
    strategy: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    rehearse: Callable[[], Sequence[Rehearsed]]
    """The job's first statements; none is run."""
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
