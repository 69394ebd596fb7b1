"""Lists what a destination holds: its manifests, the segments of each run, and other files."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchops.archive.chain import Damage, numbers_in, read_chain
from batchops.archive.deleted import DeletedRows
from batchops.archive.destination import Destination
from batchops.archive.formats import format_of_name
from batchops.archive.layout import MANIFESTS, MARKER, STAGING, record_name, segment_of
from batchops.archive.manifest import FoundManifest, ListedSegment
from batchops.archive.pruning import FoundPruned
from batchops.archive.records import ArchivedTable, Sidecar
from batchops.archive.spool import SUFFIX
from batchops.errors import IntegrityError, NotFoundError


@dataclass(frozen=True)
class FoundSegment:
    """A segment that a manifest or a record names."""

    run: int
    table: ArchivedTable
    listed: ListedSegment
    manifest: int | None
    """The number of its manifest; None if only its record names it."""
    undecided: bool = False
    """Whether it is not recorded which of its rows were deleted: the run crashed before, or is still at work."""
    kept: bool = False
    """Whether its rows were copied only, and stayed in their table."""

    @property
    def rows(self) -> int:
        """Return the number of archived rows; of an undecided segment, the most that there can be."""
        return self.listed.rows


@dataclass
class Contents:
    """The contents of a destination, as far as they can be read."""

    manifests: list[FoundManifest] = field(default_factory=list)
    segments: list[FoundSegment] = field(default_factory=list)
    """The segments of the manifests in their order, then those of runs without a manifest."""
    unlisted_runs: dict[int, int] = field(default_factory=dict)
    """Runs with segments that no manifest lists, and how many. Such a run crashed, or is at work."""
    unsealed: list[str] = field(default_factory=list)
    """Spools that have not become segments."""
    unrecorded: list[str] = field(default_factory=list)
    """Segments without a record: the run crashed before it wrote the record."""
    damage: list[Damage] = field(default_factory=list)
    pruned: list[FoundPruned] = field(default_factory=list)
    """Runs that were pruned. None of their files belongs to the archive any more."""
    half_pruned: list[str] = field(default_factory=list)
    """Files of pruned runs that are still there: a prune was killed."""

    @property
    def undecided(self) -> list[FoundSegment]:
        """Return the segments whose rows may all still be in their table."""
        return [one for one in self.segments if one.undecided]

    @property
    def left(self) -> int:
        """Return the number of rows in segments that stayed in their tables, and so are not archived."""
        return sum(one.listed.record.rows - one.rows for one in self.segments)

    def of(self, table: str | None = None, run: int | None = None) -> list[FoundSegment]:
        """Return the segments with archived rows, of one table and one run; None means all."""
        wanted = (one for one in self.segments if table is None or one.table.label == table)
        return [one for one in wanted if not one.table.nulled and (run is None or one.run == run)]

    def pruned_runs(self, run: int | None = None) -> list[FoundPruned]:
        """Return the pruned runs; with `run` that one, perhaps in several records."""
        return [one for one in self.pruned if run in (None, one.run.run)]

    def nulled(self, run: int | None = None) -> list[FoundSegment]:
        """Return the segments with former values of rows that stayed in their table."""
        return [one for one in self.segments if one.table.nulled and (run is None or one.run == run)]


def contents(destination: Destination) -> Contents:
    """Read the names, manifests and records of a destination, but no segment. NotFoundError if it has no archive."""
    while True:
        names = [*destination.names()]
        if not any(name == MARKER or name.startswith(MANIFESTS) or format_of_name(name) for name in names):
            raise NotFoundError(f"There is no archive in {destination.shown}.", "check the destination.")
        found = _contents(destination, names)
        if not found.damage or numbers_in(destination.names(MANIFESTS)) == numbers_in(names):
            return found  # else files that seem to be missing may have been pruned meanwhile


def _contents(destination: Destination, names: list[str]) -> Contents:
    chain = read_chain(destination, names)
    found = Contents(chain.manifests, damage=chain.damage, pruned=chain.pruned, half_pruned=chain.half_pruned)
    found.unsealed += [name for name in names if name.endswith(SUFFIX)]
    found.segments += [segment for one in chain.manifests for segment in _segments(one)]
    listed = {one.listed.name for one in found.segments}
    there, passed = set(names), {MARKER, *chain.half_pruned}
    for name in names:
        if name in listed or name in passed or name.startswith((MANIFESTS, STAGING)):
            continue
        if name.endswith(".json") and format_of_name(segment_of(name)):
            if segment_of(name) not in listed:
                _read_sidecar(destination, name, found, there)
        elif format_of_name(name) and record_name(name) not in there:
            found.unrecorded.append(name)
    return found


def refuse_damage(destination: Destination, inside: Contents) -> None:
    """Raise IntegrityError if a manifest or a record is damaged: it is unknown then which files count."""
    if inside.damage:
        first = inside.damage[0]
        raise IntegrityError(
            f"The archive in {destination.shown} is damaged: {first.name} is {first.what}.",
            f"see `batchops archive verify {destination.shown}`.",
        )


def _segments(one: FoundManifest) -> Iterator[FoundSegment]:
    for table in one.manifest.tables:
        for listed in table.segments:
            yield FoundSegment(one.manifest.run, table.table, listed, one.number, kept=one.manifest.kept)


def _read_sidecar(destination: Destination, name: str, found: Contents, there: set[str]) -> None:
    try:
        data, deleted = destination.read(name), None
    except NotFoundError:  # it was pruned since the files were listed
        return
    try:
        sidecar = Sidecar.loaded(data)
        if sidecar.deleted_by in there:
            deleted = DeletedRows.loaded(destination.read(sidecar.deleted_by))
    except ValueError as error:
        found.damage.append(Damage(name, "unreadable", str(error)))
        return
    listed = ListedSegment(segment_of(name), sidecar.record, hashlib.sha256(data).hexdigest(), deleted)
    undecided = bool(sidecar.deleted_by) and deleted is None
    found.segments.append(FoundSegment(sidecar.run, sidecar.table, listed, None, undecided, sidecar.kept))
    found.unlisted_runs[sidecar.run] = found.unlisted_runs.get(sidecar.run, 0) + 1
