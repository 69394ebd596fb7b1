"""How a job goes on from where its last run stopped."""

from dataclasses import dataclass

from batchops.errors import IntegrityError, RefusedError
from batchops.ledger.ledger import FORMAT, Run

LIMITS = frozenset({"max-rows", "max-time", "max-batches", "window"})
ENDS = frozenset({"done", "incomplete"})


@dataclass(frozen=True)
class Anew:
    """A new run, over everything. With `behind`, from where that run stopped, round to there again."""

    behind: Run | None = None


@dataclass(frozen=True)
class GoOn:
    """The same run, with the values frozen at its start. Its allowance begins at `base_rows`."""

    run: Run
    base_rows: int


@dataclass(frozen=True)
class AlreadyDone:
    """A backfill that must not be applied twice has been applied."""

    run: Run


Resume = Anew | GoOn | AlreadyDone


def resume(last: Run | None, *, repeatable: bool, purge: bool, restart: bool) -> Resume:
    """What the next run of a job is, given how the last one ended.

    `repeatable`: doing it twice gives what once gives. A purge that a limit ended gets a fresh cut-off, but
    does not read again first what it has just emptied.
    """
    if last is None or restart:
        return Anew()
    if last.state in ENDS:
        return Anew() if repeatable else AlreadyDone(last)
    if last.format != FORMAT:
        raise RefusedError(
            f"Run {last.run} was begun by another version of batchops (ledger format {last.format}, not {FORMAT}).",
            "finish it with that version, or begin anew with --restart.",
        )
    if last.state not in LIMITS:
        return GoOn(last, last.base_rows)
    return Anew(last) if purge else GoOn(last, last.rows)


def unchanged(run: Run, fingerprint: str, *, walk: str, key: tuple[str, ...] | None) -> None:
    """IntegrityError or RefusedError where a cursor of `run` no longer means what it did."""
    if run.frozen["fingerprint"] != fingerprint:
        raise IntegrityError(
            f'Table "{run.table}" is not the one that run {run.run} began with: it was exchanged or altered.',
            "if the rest of the job is still wanted, begin anew with --restart.",
        )
    if key is not None and tuple(run.frozen["key"]) != key:
        raise RefusedError(
            f"Run {run.run} follows the key {', '.join(run.frozen['key'])}, not {', '.join(key)}.",
            "leave --key as it was, or begin anew with --restart.",
        )
    if walk not in ("auto", run.walk):
        raise RefusedError(
            f"Run {run.run} walks by {run.walk}, not by {walk}.",
            "leave --walk as it was, or begin anew with --restart.",
        )
