"""Manifests. They are numbered, each is created once, and each holds the digest of the one before it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from batchops.archive.deleted import DeletedRows
from batchops.archive.destination import Destination
from batchops.archive.layout import MANIFESTS, manifest_name, manifest_number
from batchops.archive.pruning import PrunedRun
from batchops.archive.records import FIRST, LATEST, ArchivedTable, SegmentRecord, dumped, loaded
from batchops.errors import IntegrityError, NotFoundError

PARTITIONS = "partitions"
"""What a manifest calls the partitions that were dropped once their rows were archived."""


@dataclass(frozen=True)
class ListedSegment:
    """A segment in the list of a manifest."""

    name: str
    record: SegmentRecord
    sidecar_sha256: str
    """The SHA-256 of the file of the record."""
    deleted: DeletedRows | None = None
    """The archived rows, if rows were deleted after the segment was published; None: all rows are archived."""

    @property
    def rows(self) -> int:
        """Return the number of archived rows."""
        return self.record.rows if self.deleted is None else self.deleted.rows


@dataclass(frozen=True)
class TableSegments:
    """A table and its segments of one run."""

    table: ArchivedTable
    segments: tuple[ListedSegment, ...]


@dataclass(frozen=True)
class Manifest:
    """The archive of one run: which rows of which tables it holds, and in which files."""

    run: int
    tables: tuple[TableSegments, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    """Condition, cutoff, server, versions and the like, for people, as JSON values."""

    @property
    def rows(self) -> int:
        """Return the number of archived rows of all tables, without the values of rows that stayed."""
        return sum(one.rows for table in self.tables if not table.table.nulled for one in table.segments)

    @property
    def kept(self) -> bool:
        """Whether the rows were copied only, and stayed in their tables."""
        return bool(self.about.get("kept"))

    def document(self) -> dict[str, Any]:
        """Return the manifest as a JSON document."""
        return {"run": self.run, "rows": self.rows, **self.about, "tables": [*map(_table, self.tables)]}


@dataclass(frozen=True)
class FoundManifest:
    """A manifest in a destination."""

    number: int
    sha256: str
    previous: str
    """The digest of the manifest before it, as this one records it."""
    manifest: Manifest
    """Of no run and without tables, if this is a record of pruned runs."""
    pruned: tuple[PrunedRun, ...] = ()
    """The runs that this record says were pruned."""

    @property
    def written(self) -> str:
        """Return when it was written."""
        return str(self.manifest.about.get("written", ""))


def append_manifest(destination: Destination, manifest: Manifest) -> int:
    """Write a manifest durably after the last one, and return its number.

    If another process writes one at the same time, this one comes after it.
    """
    version = max((one.table.version for one in manifest.tables), default=FIRST)
    number = _append(destination, lambda: {"version": version, **manifest.document()})
    assert number is not None
    return number


def append_pruned(
    destination: Destination, pruned: Callable[[], Sequence[PrunedRun]], about: Mapping[str, Any]
) -> int | None:
    """Write a record of pruned runs durably after the last manifest; return its number, None if there are no runs.

    `pruned` is called again if another process has written a manifest meanwhile.
    """

    def document() -> Mapping[str, Any] | None:
        runs = pruned()
        return {"version": LATEST, **about, "pruned": [one.document() for one in runs]} if runs else None

    return _append(destination, document)


def _append(destination: Destination, make: Callable[[], Mapping[str, Any] | None]) -> int | None:
    while True:
        number, previous = _end(destination)
        if (document := make()) is None:
            return None
        own = {"version": document["version"], "number": number + 1, "previous": previous}
        own["written"] = datetime.now(UTC).isoformat(timespec="seconds")
        if destination.create(manifest_name(number + 1), dumped({**own, **document})):
            return number + 1


def manifests(destination: Destination) -> Iterator[FoundManifest]:
    """Yield the manifests of a destination by number; raise IntegrityError if one cannot be read."""
    for number in _numbers(destination):
        try:
            data = _listed_content(destination, number)
        except IntegrityError:
            if number in _numbers(destination):
                raise
            continue  # it was pruned meanwhile
        try:
            yield manifest_of(data)
        except ValueError as error:
            raise _unreadable(destination, number, str(error)) from error


def manifest_of(data: bytes) -> FoundManifest:
    """Return the manifest with that file content; raise ValueError if it is not a manifest."""
    try:
        return _found(data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no manifest ({error})") from error


def _end(destination: Destination) -> tuple[int, str]:
    """Return the number and the digest of the last manifest; 0 and "" if there is none."""
    number = max(_numbers(destination), default=0)
    try:
        last = _listed_content(destination, number) if number else None
    except IntegrityError:
        if number == max(_numbers(destination), default=0):
            raise
        return _end(destination)  # it was pruned meanwhile, and a record of that follows it
    with suppress(NotFoundError):
        while True:  # the listing may lack the newest manifests
            last = destination.read(manifest_name(number + 1))
            number += 1
    return number, "" if last is None else hashlib.sha256(last).hexdigest()


def _numbers(destination: Destination) -> list[int]:
    numbers = map(manifest_number, destination.names(MANIFESTS))
    return sorted(number for number in numbers if number is not None)


def _listed_content(destination: Destination, number: int) -> bytes:
    """Return the content of a manifest that is listed: without it, the chain of manifests would be cut unnoticed."""
    try:
        return destination.read(manifest_name(number))
    except NotFoundError as error:
        raise _unreadable(destination, number, "it is listed, and not found") from error


def _unreadable(destination: Destination, number: int, why: str) -> IntegrityError:
    return IntegrityError(
        f"{manifest_name(number)} in {destination.shown} cannot be read: {why}.",
        "put it back from a copy, then run the same command again.",
    )


def _found(data: bytes) -> FoundManifest:
    document = loaded(data)
    about = {name: value for name, value in document.items() if name not in _OWN}
    own = document["number"], hashlib.sha256(data).hexdigest(), document["previous"]
    if "pruned" in document:
        return FoundManifest(*own, Manifest(0, (), about), tuple(map(PrunedRun.of, document["pruned"])))
    tables = tuple(
        TableSegments(ArchivedTable.of(one), tuple(map(_listed, one["segments"]))) for one in document["tables"]
    )
    manifest = Manifest(document["run"], tables, about)
    if manifest.rows != document["rows"]:
        raise ValueError("its rows do not add up")
    return FoundManifest(*own, manifest)


_OWN = frozenset(("version", "number", "previous", "run", "rows", "tables", "pruned"))


def _table(table: TableSegments) -> dict[str, Any]:
    return {**table.table.document(), "segments": [*map(_segment, table.segments)]}


def _segment(segment: ListedSegment) -> dict[str, Any]:
    deleted = {} if segment.deleted is None else {"deleted": segment.deleted.document()}
    return {"name": segment.name, "sidecar_sha256": segment.sidecar_sha256, **segment.record.document(), **deleted}


def _listed(document: Mapping[str, Any]) -> ListedSegment:
    deleted = DeletedRows.of(document["deleted"]) if "deleted" in document else None
    return ListedSegment(document["name"], SegmentRecord.of(document), document["sidecar_sha256"], deleted)


def listed_of(sidecars: Sequence[tuple[str, SegmentRecord, bytes]]) -> tuple[ListedSegment, ...]:
    """Return segments to list, each from its name, its record and the content of the record's file."""
    return tuple(ListedSegment(name, record, hashlib.sha256(data).hexdigest()) for name, record, data in sidecars)
