"""Writes canonical lines to segments, which are read back before they get their name, and reads them."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from batchops.archive.durable import put_in_place
from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.lines import RowsDigest, blocks_of
from batchops.archive.records import SegmentRecord, key_texts
from batchops.db.exact_columns import ExactColumn
from batchops.errors import IntegrityError

BLOCK = 16_384
"""The rows of a block, which is a row group in Parquet."""
BLOCK_BYTES = 4 << 20
_PART = 1 << 20


def write_segment(
    lines: Iterable[bytes],
    columns: Sequence[ExactColumn],
    format: SegmentFormat,
    path: Path,
    key: Sequence[str] = (),
    known: RowsDigest | None = None,
) -> SegmentRecord:
    """Write the canonical lines to a new file, read them back, and return the record.

    `known`: the digest of the lines, if the caller has computed it; else it is computed here.

    The file gets its name only once it is durable and the same rows were read back from it. Raise InexactRowsError
    for rows that the format cannot hold exactly, IntegrityError if other rows are read back, FileExistsError if there
    is a file of that name.
    """
    if path.exists():
        raise FileExistsError(path)
    digest = RowsDigest()
    with SegmentDraft(path.with_name(f".{path.name}"), columns, format, key) as draft:
        for block in blocks_of(lines, BLOCK, BLOCK_BYTES):
            if known is None:
                digest.add(block)
            draft.add(block)
        return draft.finish(path, known or digest)


class SegmentDraft:
    """Writes the file of a segment, which proves nothing before `finish` has read it back.

    As a context manager it removes the file, unless it is finished.
    """

    def __init__(
        self, path: Path, columns: Sequence[ExactColumn], format: SegmentFormat, key: Sequence[str] = ()
    ) -> None:  # fmt: skip
        """`path`: the file's, whose name gets an ending that no other file has."""
        self.format = format
        self._columns, self._key = tuple(columns), tuple(key)
        self._rows = format.of(columns)
        self._path = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
        self._file = self._path.open("xb")
        self._writer = self._rows.writer(self._file)
        self._block, self._size = list[bytes](), 0
        self._first: bytes | None = None
        self._last: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, lines: Sequence[bytes]) -> None:
        """Write lines after the earlier ones; raise InexactRowsError for rows that the format cannot hold exactly."""
        if lines:
            self._first, self._last = (lines[0] if self._first is None else self._first), lines[-1]
        self._block += lines
        self._size += sum(map(len, lines))
        if len(self._block) >= BLOCK or self._size >= BLOCK_BYTES:
            self._write_block()

    def finish(self, path: Path, known: RowsDigest) -> SegmentRecord:
        """Make the file durable, read it back, move it to `path`, and return its record.

        `known`: the digest of the rows, computed when they came from the database. Raise IntegrityError if other rows
        are read back.
        """
        if self._block:
            self._write_block()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        record = _read_back(self._path, self._rows, known)
        put_in_place(self._path, path)
        first, last = (key_texts(line, self._columns, self._key) for line in (self._first, self._last))
        return SegmentRecord(**(record | {"first_key": first, "last_key": last}))  # type: ignore[arg-type]  # mypy does not see into the dict

    def discard(self) -> None:
        """Remove the file, unless it is finished."""
        if not self._file.closed:
            with suppress(Exception):  # else it would be closed later, after its file
                self._writer.close()
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _write_block(self) -> None:
        block, self._block, self._size = self._block, [], 0
        self._writer.write(block)


def read_segment(file: BinaryIO, columns: Sequence[ExactColumn], format: SegmentFormat) -> Iterator[list[bytes]]:
    """Yield the canonical lines of a segment in blocks; raise IntegrityError if the file cannot be read."""
    return _read(file, format.of(columns))


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of an open file."""
    digest = hashlib.sha256()
    while part := file.read(_PART):
        digest.update(part)
    return digest.hexdigest()


def _read_back(path: Path, rows: RowFormat, written: RowsDigest) -> dict[str, object]:
    read = RowsDigest()
    with path.open("rb") as file:
        for block in _read(file, rows):
            read.add(block)
        file.seek(0)
        sha256 = sha256_of(file)
        size = file.tell()
    if read != written:
        raise IntegrityError(
            f"{path.name} gives back {read.rows} rows that are not the {written.rows} rows written into it.",
            "nothing was removed; look at the disk, or use another --format.",
        )
    return {"rows": read.rows, "bytes": size, "sha256": sha256, "digest": str(written), "read_back": str(read)}


def _read(file: BinaryIO, rows: RowFormat) -> Iterator[list[bytes]]:
    try:
        yield from rows.read(file)
    except (ValueError, EOFError, OSError) as error:
        name = getattr(file, "name", "the segment")
        raise IntegrityError(f"{name} cannot be read: {error}") from error
