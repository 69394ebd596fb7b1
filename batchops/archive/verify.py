"""Verifies an archive without a database: each file against its record, and the rows against both digests."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from batchops.archive.chain import Damage
from batchops.archive.contents import Contents, FoundSegment, contents
from batchops.archive.deleted import DeletedRows, archived
from batchops.archive.destination import Destination
from batchops.archive.formats import format_of_name
from batchops.archive.in_use import reading
from batchops.archive.layout import deleted_name, record_name
from batchops.archive.lines import RowsDigest
from batchops.archive.proved_files import pruned_since
from batchops.archive.segments import read_segment, sha256_of
from batchops.errors import IntegrityError, NotFoundError


@dataclass(frozen=True)
class Verified:
    """The result of a verification."""

    contents: Contents
    rows: int
    """Archived rows of undamaged segments, without rows that may not have been deleted."""
    bytes: int
    damage: tuple[Damage, ...]

    @property
    def whole(self) -> bool:
        """Whether everything is still as it was written."""
        return not self.damage


def verify(destination: Destination, seen: Callable[[FoundSegment, Damage | None], None] = lambda *_: None) -> Verified:
    """Read the whole archive, and call `seen` after each segment. Raise NotFoundError if there is no archive."""
    with reading(destination):
        return _verified(destination, seen)


def _verified(destination: Destination, seen: Callable[[FoundSegment, Damage | None], None]) -> Verified:
    found = contents(destination)
    damage, rows, size = [*found.damage], 0, 0
    for segment in found.segments:
        wrong = segment_damage(destination, segment)
        if wrong is not None and wrong.what == "missing" and pruned_since(destination, segment):
            continue  # meanwhile
        seen(segment, wrong)
        if wrong is None:
            rows += 0 if segment.undecided or segment.table.nulled else segment.rows
            size += segment.listed.record.bytes
        else:
            damage.append(wrong)
    return Verified(found, rows, size, tuple(damage))


def segment_damage(destination: Destination, segment: FoundSegment) -> Damage | None:
    """Return what is wrong with a segment's record or its file; None if nothing is."""
    return (
        _sidecar_damage(destination, segment) or _deleted_damage(destination, segment)
        or _file_damage(destination, segment)
    )  # fmt: skip


def _sidecar_damage(destination: Destination, segment: FoundSegment) -> Damage | None:
    name = record_name(segment.listed.name)
    try:
        data = destination.read(name)
    except NotFoundError:
        return Damage(name, "missing", f"the record of {segment.listed.name}")
    if hashlib.sha256(data).hexdigest() != segment.listed.sidecar_sha256:
        return Damage(name, "changed", "it is not the record that its manifest lists")
    return None


def _deleted_damage(destination: Destination, segment: FoundSegment) -> Damage | None:
    if segment.listed.deleted is None or segment.manifest is None:  # it was just read from its file
        return None
    name = deleted_name(segment.listed.name)
    try:
        same = DeletedRows.loaded(destination.read(name)) == segment.listed.deleted
    except NotFoundError:
        return Damage(name, "missing", f"which rows of {segment.listed.name} were deleted")
    except ValueError as error:
        return Damage(name, "unreadable", str(error))
    return None if same else Damage(name, "changed", "it is not what its manifest lists")


def _file_damage(destination: Destination, segment: FoundSegment) -> Damage | None:
    name, record = segment.listed.name, segment.listed.record
    format = format_of_name(name)
    if format is None:
        return Damage(name, "unreadable", "no format of batchops has this name")
    try:
        file = destination.open(name)
    except NotFoundError:
        return Damage(name, "missing", f"{record.rows:,} rows")
    with file:
        sha256, size = sha256_of(file), file.tell()
        if size < record.bytes:
            return Damage(name, "truncated", f"{size:,} bytes of {record.bytes:,}")
        if sha256 != record.sha256:
            return Damage(name, "changed", "its SHA-256 is not the one in its record")
        file.seek(0)
        digest, kept = RowsDigest(), RowsDigest()
        deleted = segment.listed.deleted

        def blocks() -> Iterator[list[bytes]]:
            for lines in read_segment(file, segment.table.columns, format):
                digest.add(lines)
                yield lines

        try:
            for lines in archived(blocks(), () if deleted is None else deleted.left):
                if deleted is not None:
                    kept.add(lines)
        except IntegrityError as error:
            return Damage(name, "unreadable", error.message)
    if (str(digest), digest.rows) != (record.digest, record.rows) or record.read_back != record.digest:
        return Damage(name, "changed", f"its {digest.rows:,} rows are not the {record.rows:,} that were archived")
    if deleted is not None and (str(kept), kept.rows) != (deleted.digest, deleted.rows):
        return Damage(name, "changed", f"{kept.rows:,} of its rows count, which are not the {deleted.rows:,} deleted")
    return None
