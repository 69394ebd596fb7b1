"""Reads what earlier runs of the same restore have done, and which segments are left for this one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from batchops.archive.contents import FoundSegment
from batchops.archive.pruning import FoundPruned
from batchops.errors import IntegrityError, RefusedError
from batchops.ledger.ledger import Ledger
from batchops.ledger.resume import ENDS
from batchops.ledger.run import Run
from batchops.restore.parents_first import OwnReference
from batchops.restore.source import Place, References
from batchops.restore.table_order import Later


@dataclass(frozen=True)
class Work:
    """The segments that a run reads, and the place to start from."""

    segments: tuple[FoundSegment, ...]
    """All segments. Those of earlier runs come first, and are not read again."""
    place: Place
    last: Run | None = None
    """The last run of this job."""
    continues: bool = False
    """Whether this process continues the last run."""
    refused_before: int = 0
    """Rows that the table refused in earlier runs, whose segments are not read again."""
    references: References = field(default_factory=dict)
    """The references of each table to itself, which decide the order of its rows."""
    later: Later = field(default_factory=dict)
    """Columns that are set once the rows of all tables are restored."""
    first: int = 0
    """The index of the segment that the run began with."""

    nulled: tuple[FoundSegment, ...] = ()
    """Segments with values that the archive set to NULL. They are set once the rows of all tables are restored."""
    nulled_before: frozenset[str] = frozenset()
    """The names of the segments in `nulled` of earlier runs."""

    @property
    def again(self) -> tuple[FoundSegment, ...]:
        """Return the segments that are read after all others, to set columns later."""
        later = tuple(one for one in self.segments[self.first :] if one.table.label in self.later)
        return (*later, *self.nulled)

    @property
    def done(self) -> bool:
        """Whether earlier runs have done all of the work."""
        left = self.place.segment < len(self.segments) or self.nulled
        return self.last is not None and not self.continues and not left

    @property
    def rows(self) -> int:
        """Return the number of rows that are still to be read."""
        left = self.segments[self.place.segment :]
        return sum(one.rows for one in left) - (self.place.row if left else 0)


def job_key(database_id: str, identity: Mapping[str, Any]) -> str:
    """Return the key of the job in the ledger: a hash of the database and the job's identity."""
    return hashlib.sha256(json.dumps([database_id, identity], sort_keys=True).encode()).hexdigest()


def work_of(
    connection: sa.Connection, ledger: Ledger, key: str, whole: Work, *, restart: bool,
    pruned: Mapping[str, FoundPruned] = MappingProxyType({}),
) -> Work:  # fmt: skip
    """Return what is left of the `whole` work, after the last run of the job.

    A run that stopped is continued. After a run that ended, only segments that were archived since are read. With
    `restart` all of the work is left. `pruned`: the segments that were pruned, by name.
    """
    last = None if ledger.state(connection) != "current" else ledger.latest(connection, key)
    if last is None or restart:
        return replace(whole, last=last)
    pinned = last.pinned
    by_name = {one.listed.name: one for one in (*whole.segments, *whole.nulled)}
    names, values = pinned["segments"], pinned.get("nulled", [])
    gone = [name for name in (*names, *values) if name not in by_name and name in pruned]
    if gone and last.state not in ENDS:
        raise RefusedError(
            f"Run {last.run} of this restore stopped before its end, and {pruned[gone[0]]} since.",
            "--restart --on-conflict skip begins anew with the rows that are still archived.",
        )
    names, values = ([name for name in some if name not in gone] for some in (names, values))
    if missing := [name for name in (*names, *values) if name not in by_name]:
        raise IntegrityError(
            f"Run {last.run} of this restore read {missing[0]}, which is not in the archive any more.",
            "put it back, or start from the beginning with --restart.",
        )
    before = tuple(by_name[name] for name in names)
    refused, earlier = pinned.get("refused_before", 0), frozenset(pinned.get("nulled_before", ()))
    if last.state not in ENDS:
        decided = [one.listed.name for one in before if not one.undecided]
        if since := set(decided) & set(pinned.get("undecided", ())):
            raise IntegrityError(
                f"Which rows of {min(since)} were deleted was decided since run {last.run} of this restore began.",
                "--restart --on-conflict skip begins anew, and leaves what is restored.",
            )
        return Work(
            before, Place.loaded(last.workers[0].cursor), last, continues=True, refused_before=refused,
            references=_references(pinned.get("references", {})),
            later={label: tuple(names) for label, names in pinned.get("later", {}).items()},
            first=pinned.get("first", 0), nulled=tuple(by_name[name] for name in values), nulled_before=earlier,
        )  # fmt: skip
    earlier |= set(values)
    fresh = tuple(one for one in whole.segments if one.listed.name not in set(names))
    return replace(
        whole, segments=(*before, *fresh), place=Place(len(before)), last=last, first=len(before),
        refused_before=refused + last.rejected, nulled_before=earlier,
        nulled=tuple(one for one in whole.nulled if one.listed.name not in earlier),
    )  # fmt: skip


def _references(kept: Mapping[str, Any]) -> References:
    return {label: tuple(OwnReference(*map(tuple, one)) for one in some) for label, some in kept.items()}
