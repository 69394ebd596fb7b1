"""What earlier runs of the same restore have done, and which segments are left for this one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

    @property
    def again(self) -> tuple[FoundSegment, ...]:
        """The segments that are read once more, behind all others, for columns that are set later."""
        return tuple(one for one in self.segments[self.first :] if one.table.label in self.later)

    @property
    def done(self) -> bool:
        """Whether nothing is left, as an earlier run has done it."""
        return self.last is not None and not self.continues and self.place.segment >= len(self.segments)

    @property
    def rows(self) -> int:
        """Rows that are still to be read."""
        left = sum(one.rows for one in (*self.segments, *self.again)[self.place.segment :])
        return left - self.place.row


def job_key(database_id: str, identity: Mapping[str, Any]) -> str:
    """The job, by what was asked."""
    return hashlib.sha256(json.dumps([database_id, identity], sort_keys=True).encode()).hexdigest()


def work_of(
    connection: sa.Connection, ledger: Ledger, key: str, segments: Sequence[FoundSegment],
    references: References, later: Later, *, restart: bool,
) -> Work:  # fmt: skip
    """What is to be done. A done run's segments are not read again: only those that were archived since."""
    last = None if ledger.state(connection) != "current" else ledger.latest(connection, key)
    if last is None or restart:
        return Work(tuple(segments), Place(), last, references=references, later=later)
    by_name = {one.listed.name: one for one in segments}
    names = last.pinned["segments"]
    if missing := [name for name in names if name not in by_name]:
        raise IntegrityError(
            f"Run {last.run} of this restore read {missing[0]}, which is not in the archive any more.",
            "put it back, or start from the beginning with --restart.",
        )
    before = [by_name[name] for name in names]
    refused = last.pinned.get("refused_before", 0)
    if last.state not in ENDS:
        decided = [one.listed.name for one in before if not one.undecided]
        if since := set(decided) & set(last.pinned.get("undecided", ())):
            raise IntegrityError(
                f"Which rows of {min(since)} were deleted was decided since run {last.run} of this restore began.",
                "--restart --on-conflict skip begins anew, and leaves what is restored.",
            )
        place = Place.loaded(last.workers[0].cursor)
        pinned = {
            label: tuple(OwnReference(*map(tuple, one)) for one in some)
            for label, some in last.pinned.get("references", {}).items()
        }
        later = {label: tuple(names) for label, names in last.pinned.get("later", {}).items()}
        first = last.pinned.get("first", 0)
        return Work(tuple(before), place, last, True, refused, pinned, later, first)
    fresh = [one for one in segments if one.listed.name not in set(names)]
    refused += last.rejected
    whole = (*before, *fresh)
    return Work(whole, Place(len(before)), last, False, refused, references, later, len(before))
