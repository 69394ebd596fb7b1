"""What earlier runs of the same restore have done, and which segments are left for this one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from batchops.archive.contents import FoundSegment
from batchops.errors import IntegrityError
from batchops.ledger.ledger import Ledger
from batchops.ledger.resume import ENDS
from batchops.ledger.run import Run
from batchops.restore.parents_first import OwnReference
from batchops.restore.source import Place, References
from batchops.restore.table_order import Later


@dataclass(frozen=True)
class Work:
    """Which segments a run goes through, and from where."""

    segments: tuple[FoundSegment, ...]
    """Those of earlier runs first, which are not read again."""
    place: Place
    last: Run | None = None
    """The last run of this job."""
    continues: bool = False
    """Whether that run goes on."""
    refused_before: int = 0
    """Rows that the table refused in earlier runs, whose segments are not read again."""
    references: References = field(default_factory=dict)
    """Those of each table to itself, which decide the order of its rows."""
    later: Later = field(default_factory=dict)
    """Columns that are set once the rows of all tables are there."""
    first: int = 0
    """The segment that the run began with."""

    nulled: tuple[FoundSegment, ...] = ()
    """Values that are set once the rows of all tables are there, where the archive has set them to NULL."""
    nulled_before: frozenset[str] = frozenset()
    """The names of those of earlier runs."""

    @property
    def again(self) -> tuple[FoundSegment, ...]:
        """The segments that are read behind all others, for columns that are set later."""
        later = tuple(one for one in self.segments[self.first :] if one.table.label in self.later)
        return (*later, *self.nulled)

    @property
    def done(self) -> bool:
        """Whether nothing is left, as an earlier run has done it."""
        left = self.place.segment < len(self.segments) or self.nulled
        return self.last is not None and not self.continues and not left

    @property
    def rows(self) -> int:
        """Rows that are still to be read."""
        left = self.segments[self.place.segment :]
        return sum(one.rows for one in left) - (self.place.row if left else 0)


def job_key(database_id: str, identity: Mapping[str, Any]) -> str:
    """The job, by what was asked."""
    return hashlib.sha256(json.dumps([database_id, identity], sort_keys=True).encode()).hexdigest()


def work_of(connection: sa.Connection, ledger: Ledger, key: str, whole: Work, *, restart: bool) -> Work:
    """What is to be done of it. A done run's segments are not read again: only those that were archived since."""
    last = None if ledger.state(connection) != "current" else ledger.latest(connection, key)
    if last is None or restart:
        return replace(whole, last=last)
    pinned = last.pinned
    by_name = {one.listed.name: one for one in (*whole.segments, *whole.nulled)}
    names, values = pinned["segments"], pinned.get("nulled", [])
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
