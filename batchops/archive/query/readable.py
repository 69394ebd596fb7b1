"""Makes files of segments that DuckDB reads exactly: Parquet segments as they are, all others as temporary Parquet.

A segment is converted by the reader that `verify` and `restore` use, block by block. DuckDB's own readers of CSV and
JSON guess types, and confuse NULL with an empty text. A temporary file can be read more than once, column by column,
which a stream of record batches cannot.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from batchops.archive.contents import FoundSegment
from batchops.archive.deleted import archived
from batchops.archive.destination import Destination, FolderDestination
from batchops.archive.formats import SegmentFormat, format_of_name
from batchops.archive.inexact import InexactRowsError
from batchops.archive.proved_files import open_proved
from batchops.archive.query.types import as_text
from batchops.archive.segments import read_segment
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import block_of

PARQUET = SegmentFormat()


@dataclass(frozen=True)
class ReadableFile:
    """A Parquet file, and the archived columns in it."""

    path: Path
    columns: tuple[tuple[str, ExactColumn], ...]
    """The name of each column in the file, and the archived column in the form in which the file has it."""


class Readable:
    """Makes the readable files of segments in a temporary folder, and compares each segment with its record first."""

    def __init__(self, destination: Destination, folder: Path) -> None:
        self._destination = destination
        self._folder = folder
        self._made = 0

    def files(self, segments: Sequence[FoundSegment]) -> Iterator[ReadableFile]:
        """Yield the files of one table's segments; raise IntegrityError for a segment that is not as it was archived.

        A value that its column's type cannot hold makes a text of the column in this file.
        """
        for segment in segments:
            with closing(open_proved(self._destination, segment)) as file:
                yield self._direct(segment, file) if is_direct(segment) else self._converted(segment, file)

    def _direct(self, segment: FoundSegment, file: BinaryIO) -> ReadableFile:
        """Return the segment's own file; a link to it, as DuckDB would take some characters of a path for patterns."""
        path = self._next()
        if isinstance(self._destination, FolderDestination):
            path.symlink_to((self._destination.root / segment.listed.name).resolve())
        else:
            with path.open("xb") as copy:
                shutil.copyfileobj(file, copy)
        return ReadableFile(path, tuple((column.name, column) for column in segment.table.columns))

    def _converted(self, segment: FoundSegment, file: BinaryIO) -> ReadableFile:
        texts = {place for place, column in enumerate(segment.table.columns) if as_text(column)}
        while True:
            columns = tuple(
                replace(column, name=f"c{place}", kind=ExactKind.TEXT if place in texts else column.kind, nullable=True)
                for place, column in enumerate(segment.table.columns)
            )
            path = self._next()
            try:
                self._write(segment, file, columns, path)
            except InexactRowsError as error:
                path.unlink()
                texts |= {int(row.column.removeprefix("c")) for row in error.rows}
                continue
            own = zip(columns, segment.table.columns, strict=True)
            return ReadableFile(path, tuple((new.name, replace(new, name=old.name)) for new, old in own))

    def _write(self, segment: FoundSegment, file: BinaryIO, columns: Sequence[ExactColumn], path: Path) -> None:
        format = format_of_name(segment.listed.name)
        assert format is not None  # every segment's name has a format
        left = () if segment.listed.deleted is None else segment.listed.deleted.left
        file.seek(0)
        with path.open("xb") as made:
            writer = PARQUET.of(columns).writer(made)
            try:
                for lines in archived(read_segment(file, segment.table.columns, format), left):
                    writer.write(block_of(lines))
            finally:
                writer.close()

    def _next(self) -> Path:
        self._made += 1
        return self._folder / f"{self._made}.parquet"


def is_direct(segment: FoundSegment) -> bool:
    """Whether DuckDB reads the segment's own file exactly, and all of its rows are archived."""
    names = {column.name.casefold() for column in segment.table.columns}
    left = segment.listed.deleted is not None and segment.listed.deleted.left
    return (
        format_of_name(segment.listed.name) == PARQUET
        and not left
        and len(names) == len(segment.table.columns)
        and not any(as_text(column) for column in segment.table.columns)
    )


def directly_read(destination: Destination, segments: Sequence[FoundSegment]) -> list[Path]:
    """Return the files of the archive itself that will be read."""
    if not isinstance(destination, FolderDestination):
        return []
    return [(destination.root / one.listed.name).resolve() for one in segments if is_direct(one)]


def forms(files: Sequence[ReadableFile]) -> Mapping[tuple[tuple[str, ExactColumn], ...], list[Path]]:
    """Return the paths of the files by the columns that they have."""
    found: dict[tuple[tuple[str, ExactColumn], ...], list[Path]] = {}
    for file in files:
        found.setdefault(file.columns, []).append(file.path)
    return found
