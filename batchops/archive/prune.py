"""Removes whole runs from an archive: first a record in the chain of manifests says so, then their files go.

From the record on, the runs count as pruned, and their files as what is still to be removed: a crash between two
removals leaves files that `verify` names and the next prune removes. The rest of the archive is as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from batchops.archive.contents import Contents, FoundSegment, contents, refuse_damage
from batchops.archive.destination import Destination
from batchops.archive.in_use import pruning
from batchops.archive.manifest import FoundManifest, append_pruned
from batchops.archive.ownership import this_host
from batchops.archive.pruning import FoundPruned, PrunedManifest, PrunedRun, PrunedSegment, PrunedTable
from batchops.errors import NotFoundError, UsageError
from batchops.version import __version__


@dataclass(frozen=True)
class PrunePlan:
    """What a prune would remove."""

    destination: Destination
    runs: tuple[PrunedRun, ...]
    kept: tuple[str, ...]
    """A sentence for each run that was asked for and stays."""
    left: tuple[str, ...]
    """Files of runs that were pruned before and are still there: they are removed too."""
    earlier: tuple[FoundPruned, ...]
    """Runs that were pruned before."""
    before: datetime | None
    asked: int | None

    @property
    def rows(self) -> int:
        """Return the number of archived rows that would be removed."""
        return sum(one.rows for one in self.runs)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.runs or self.left)


@dataclass(frozen=True)
class Pruned:
    """What a prune has removed."""

    runs: tuple[PrunedRun, ...]
    files: int
    manifest: int | None
    """The number of the record among the manifests; None if no further run was pruned."""


def plan_prune(
    destination: Destination, older_than: timedelta | None = None, run: int | None = None, now: datetime | None = None
) -> PrunePlan:  # fmt: skip
    """Return what a prune of runs archived so long ago, or of one run, would remove.

    Raise UsageError if neither is given, NotFoundError if no such run was archived, IntegrityError if a manifest is
    damaged.
    """
    if older_than is None and run is None:
        raise UsageError("Which runs? Give --older-than, or --run.", "batchops archive prune archive/ --older-than 2y")
    before = None if older_than is None else (now or datetime.now(UTC)) - older_than
    return _planned(destination, before, run)


def prune(plan: PrunePlan, removed: Callable[[str], None] = lambda _: None) -> Pruned:
    """Remove what is planned, and call `removed` after each file.

    A run that has changed since the plan, or is at work now, stays. Raise LockedError if the archive is in use.
    """
    with pruning(plan.destination):
        return _prune(plan, removed)


def _prune(plan: PrunePlan, removed: Callable[[str], None]) -> Pruned:
    destination, asked = plan.destination, {one.run: one for one in plan.runs}
    chosen: list[PrunedRun] = []

    def still() -> Sequence[PrunedRun]:
        chosen[:] = [one for one in _planned(destination, plan.before, plan.asked).runs if asked.get(one.run) == one]
        return chosen

    destination.check_removal()
    about: dict[str, Any] = {"batchops": __version__, "host": this_host()}
    about |= {} if plan.before is None else {"archived_before": plan.before.isoformat(timespec="seconds")}
    number = append_pruned(destination, still, about) if asked else None
    left = contents(destination).half_pruned
    for name in left:
        destination.remove(name)
        removed(name)
    return Pruned(tuple(chosen), len(left), number)


def _planned(destination: Destination, before: datetime | None, run: int | None) -> PrunePlan:
    inside = contents(destination)
    refuse_damage(destination, inside)
    earlier = tuple(inside.pruned_runs(run))
    manifests: dict[int, list[FoundManifest]] = {}
    for one in inside.manifests:
        if not one.pruned:
            manifests.setdefault(one.manifest.run, []).append(one)
    known = {*manifests, *inside.unlisted_runs, *(one.run.run for one in earlier)}
    if run is not None and run not in known:
        message = f"Run {run} has archived nothing in {destination.shown}."
        raise NotFoundError(message, "see `batchops archive list`.")
    runs, kept = list[PrunedRun](), list[str]()
    for number, own in sorted(manifests.items()):
        if run not in (None, number) or not _is_older(own, before):
            continue
        if why := _in_use(inside, number):
            kept.append(f"run {number} stays: {why}")
        else:
            runs.append(_pruned(inside, number, own))
    if run is not None and run not in manifests and run in inside.unlisted_runs:
        kept.append(f"run {run} stays: {_in_use(inside, run)}")
    return PrunePlan(destination, tuple(runs), tuple(kept), tuple(inside.half_pruned), earlier, before, run)


def _is_older(manifests: Sequence[FoundManifest], before: datetime | None) -> bool:
    if before is None:
        return True
    try:
        return all(datetime.fromisoformat(one.written) <= before for one in manifests)
    except ValueError:  # nothing says when it was written
        return False


def _in_use(inside: Contents, run: int) -> str:
    """Return why a run cannot be pruned now; "" if it can be."""
    if files := inside.unlisted_runs.get(run):
        return f"it crashed or is at work, as no manifest lists {files} of its files"
    if any(name.rpartition("/")[2].startswith(f"{run}-") for name in inside.unsealed):
        return "it crashed or is at work, as it has rows that are not sealed"
    return ""


def _pruned(inside: Contents, run: int, manifests: Sequence[FoundManifest]) -> PrunedRun:
    segments = [one for one in inside.segments if one.run == run]
    return PrunedRun(
        run, max(one.written for one in manifests), sum(one.listed.record.bytes for one in segments),
        tuple(_tables(segments)),
        tuple(PrunedManifest(one.number, one.sha256, one.previous) for one in manifests),
        tuple(PrunedSegment(one.listed.name, one.listed.sidecar_sha256) for one in segments),
    )  # fmt: skip


def _tables(segments: Sequence[FoundSegment]) -> Iterator[PrunedTable]:
    rows: dict[tuple[str, bool], int] = {}
    for one in segments:
        key = one.table.label, bool(one.table.nulled)
        rows[key] = rows.get(key, 0) + one.rows
    yield from (PrunedTable(label, number, nulled) for (label, nulled), number in rows.items())
