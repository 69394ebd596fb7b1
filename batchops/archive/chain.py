"""Reads the chain of manifests, also where pruned ones are gone, and finds damage in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from batchops.archive.destination import Destination
from batchops.archive.layout import manifest_name, manifest_number, record_name
from batchops.archive.manifest import FoundManifest, manifest_of
from batchops.archive.pruning import FoundPruned, PrunedManifest, PrunedSegment
from batchops.errors import NotFoundError


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written."""

    name: str
    what: str
    """One of: missing, truncated, changed, unreadable."""
    text: str


@dataclass
class Chain:
    """The manifests of a destination."""

    manifests: list[FoundManifest] = field(default_factory=list)
    """Those of runs that are not pruned, and the records of pruned runs."""
    pruned: list[FoundPruned] = field(default_factory=list)
    half_pruned: list[str] = field(default_factory=list)
    """The files of pruned runs that are still there, in the order in which they are to be removed."""
    damage: list[Damage] = field(default_factory=list)


def numbers_in(names: Sequence[str]) -> list[int]:
    """Return the numbers of the manifests among names of files."""
    return sorted(number for name in names if (number := manifest_number(name)) is not None)


def read_chain(destination: Destination, names: Sequence[str]) -> Chain:
    """Read the manifests in their order, and check that each one holds the digest of the one before it.

    `names`: all files of the destination. A manifest that is gone is no damage if a record of pruned runs names it.
    """
    chain = Chain()
    found = {one.number: one for one in _read(destination, names, chain)}
    for record in found.values():
        chain.pruned += [FoundPruned(run, record.number, record.written) for run in record.pruned]
    gone = {one.number: one for pruned in chain.pruned for one in pruned.run.manifests}
    unreadable, previous = {damage.name for damage in chain.damage}, ""
    for number in range(1, max((0, *numbers_in(names))) + 1):
        name, one = manifest_name(number), found.get(number)
        link = one or gone.get(number)
        if link is None or name in unreadable:
            if name not in unreadable:
                chain.damage.append(Damage(name, "missing", "a later manifest follows it"))
            previous = "?"
            continue
        if previous not in ("?", link.previous):
            text = f"it follows another manifest {number - 1} than the one that is there"
            chain.damage.append(Damage(name, "changed", text))
        previous = link.sha256
        if one is not None and number not in gone:
            chain.manifests.append(one)
        elif one is not None and one.sha256 != gone[number].sha256:
            chain.damage.append(Damage(name, "changed", "it is not the manifest that was pruned"))
    chain.half_pruned = [*_left(destination, names, chain.pruned, gone)]
    return chain


def _read(destination: Destination, names: Sequence[str], chain: Chain) -> Iterator[FoundManifest]:
    for number in numbers_in(names):
        name = manifest_name(number)
        try:
            one = manifest_of(destination.read(name))
        except NotFoundError:
            continue
        except ValueError as error:
            chain.damage.append(Damage(name, "unreadable", str(error)))
            continue
        if one.number == number:
            yield one
        else:
            text = f"it follows another manifest {number - 1} than the one that is there"
            chain.damage.append(Damage(name, "changed", text))


def _left(
    destination: Destination, names: Sequence[str], pruned: Sequence[FoundPruned], gone: dict[int, PrunedManifest]
) -> Iterator[str]:  # fmt: skip
    there = set(names)
    for one in pruned:
        for segment in one.run.segments:
            if record_name(segment.name) in there and _is_pruned(destination, segment):
                yield from (name for name in segment.files if name in there)
    yield from (name for name in map(manifest_name, sorted(gone)) if name in there)


def _is_pruned(destination: Destination, segment: PrunedSegment) -> bool:
    """Whether the segment is the pruned one: without its record, or with another, it is a new one of that name."""
    try:
        return segment.is_record(destination.read(record_name(segment.name)))
    except NotFoundError:
        return False
