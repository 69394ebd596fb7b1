"""Archives that tests make of lines: what a run of `archive` leaves behind."""

from collections.abc import Sequence
from pathlib import Path

from batchops.archive.destination import Destination, FolderDestination
from batchops.archive.formats import SegmentFormat
from batchops.archive.layout import record_name, segment_name
from batchops.archive.manifest import Manifest, TableSegments, append_manifest, listed_of
from batchops.archive.ownership import DestinationOwner, claim, this_host
from batchops.archive.records import ArchivedTable, SegmentRecord, Sidecar
from batchops.archive.segments import write_segment

OWNER = DestinationOwner("a database", this_host(), "tests")
PARQUET = SegmentFormat()


def sealed(
    destination: Destination, table: ArchivedTable, run: int, lines: Sequence[bytes], *,
    rows: int = 1000, format: SegmentFormat = PARQUET,
) -> list[tuple[str, SegmentRecord, bytes]]:  # fmt: skip
    """Segments of so many rows with their records, and no manifest."""
    done = []
    for number, start in enumerate(range(0, max(len(lines), 1), rows), 1):
        name = segment_name(table.label, run, number, format)
        staged = destination.staging() / name.replace("/", "_")
        record = write_segment(lines[start : start + rows], table.columns, format, staged, table.key)
        destination.publish(staged, name)
        data = Sidecar(name, run, table, record).dumped()
        assert destination.create(record_name(name), data)
        done.append((name, record, data))
    return done


def archived(
    root: Path, table: ArchivedTable, lines: Sequence[bytes], *, run: int = 1, rows: int = 1000,
    format: SegmentFormat = PARQUET,
) -> FolderDestination:  # fmt: skip
    """A run of one table, whole."""
    destination = FolderDestination(root)
    claim(destination, OWNER)
    segments = sealed(destination, table, run, lines, rows=rows, format=format)
    manifest = Manifest(run, (TableSegments(table, listed_of(segments)),), {"condition": "x < 5"})
    append_manifest(destination, manifest)
    return destination
