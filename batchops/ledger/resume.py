"""resume(): decides how a job continues from its last run."""

from collections.abc import Callable
from dataclasses import dataclass

from batchops.db.types import KeyValue
from batchops.errors import IntegrityError, RefusedError
from batchops.ledger.last_run import LastRun
from batchops.ledger.ledger import FORMAT
from batchops.ledger.run import Run

LIMITS = frozenset({"max-rows", "max-total", "max-time", "max-batches", "window"})
ENDS = frozenset({"done", "incomplete"})


@dataclass(frozen=True)
class NewRun:
    """A new run over all rows; with `behind` it starts where that run stopped, then goes from the start to there."""

    behind: Run | None = None
    because: str = ""
    """Why an earlier run that has not ended is not continued."""


@dataclass(frozen=True)
class ContinuedRun:
    """The job's last run is continued, with the values pinned at its start."""

    run: Run
    again: tuple[KeyValue, ...] = ()
    """The rejected rows that are tried again."""


@dataclass(frozen=True)
class AlreadyDone:
    """A backfill that must not be applied twice has been applied; an incomplete run has no known row left to retry."""

    run: Run


Resume = NewRun | ContinuedRun | AlreadyDone
Follows = Callable[[tuple[str, ...], tuple[str, ...]], bool]
"""Called with a run's key columns and the key asked for: returns whether the run follows that key."""


def resume(last: LastRun | None, *, repeatable: bool, purge: bool, restart: bool, same_table: bool) -> Resume:
    """Return how a job continues, given how its last run ended and what happened to its table.

    `repeatable`: to do the work twice gives the same result as once.
    A purge that a limit ended gets a fresh cut-off, and starts behind the rows that it has just emptied. If it
    reads a value from the rows that it purges, the rows deleted so far would change it: so it keeps its values.
    """
    if last is None or restart:
        return NewRun()
    if last.table in ("exchanged", "renamed") and (purge or not same_table):
        return _of_another_table(last, repeatable=repeatable)
    run = last.run
    if run.state in ENDS and repeatable:
        return NewRun()
    if run.state == "done" or (run.state == "incomplete" and not last.again):
        return AlreadyDone(run)
    if run.format != FORMAT:
        raise RefusedError(
            f"Run {run.run} was started by another version of batchops (ledger format {run.format}, not {FORMAT}).",
            "finish it with that version, or start from the beginning with --restart.",
        )
    if run.state not in LIMITS:
        return ContinuedRun(run, last.again)
    return NewRun(run) if purge and not run.pinned.get("reads_own") else ContinuedRun(run)


def _of_another_table(last: LastRun, *, repeatable: bool) -> NewRun:
    if not repeatable:
        raise RefusedError(
            f"{last.another} This backfill must not be applied twice to the same rows.",
            f"--same-table if the table holds the rows of run {last.run.run}: the run continues; --restart if "
            "its rows are new: the job starts from the beginning.",
        )
    return NewRun(because="" if last.run.state in ENDS else last.another)


def same_order(run: Run, types: tuple[str | None, ...]) -> None:
    """Raise IntegrityError if the key columns of `run` have other `types` now."""
    before = run.pinned.get("key_types")  # runs of the first version recorded none
    if before is not None and tuple(before) != types:
        raise IntegrityError(
            f'Run {run.run} follows the rows of "{run.table}" by {", ".join(run.pinned["key"])}, which was altered '
            "meanwhile: its checkpoint may mean other rows.",
            "use --same-table if the values and their order did not change, as from int to bigint; otherwise "
            "--restart.",
        )


def unchanged(run: Run, *, strategy: str, key: tuple[str, ...] | None, follows: Follows) -> None:
    """Raise RefusedError if the command asks for another strategy or key than `run` uses."""
    if run.pinned.get("asked") == asked(strategy, key):
        return  # the same command again, even if the run has changed its strategy since
    if key is not None and not follows(tuple(run.pinned["key"]), key):
        raise RefusedError(
            f"Run {run.run} follows the key {', '.join(run.pinned['key'])}, not {', '.join(key)}.",
            "keep --key as it was, or start from the beginning with --restart.",
        )
    if strategy not in ("auto", run.strategy):
        raise RefusedError(
            f"Run {run.run} uses the strategy {run.strategy}, not {strategy}.",
            "keep --strategy as it was, or start from the beginning with --restart.",
        )


def asked(strategy: str, key: tuple[str, ...] | None) -> dict[str, object]:
    """Return the strategy and key that a command asks for, as a run records them; the run may use others."""
    return {"strategy": strategy, "key": None if key is None else list(key)}
