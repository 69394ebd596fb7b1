"""Writes canonical lines to segments, which are read back before they get their name, and reads them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

from batchops.archive.durable import put_in_place
from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.lines import RowsDigest, blocks_of, digest_of
from batchops.archive.records import SegmentRecord, key_texts
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import block_of, lines_in
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

    `known`: the digest that the lines must have, if the caller has computed it.

    The file gets its name only once it is durable and the same rows were read back from it. Raise InexactRowsError
    for rows that the format cannot hold exactly, IntegrityError if other rows are read back, FileExistsError if there
    is a file of that name.
    """
    if path.exists():
        raise FileExistsError(path)
    digest = RowsDigest()
    with SegmentDraft(path.with_name(f".{path.name}"), columns, format, key) as draft:
        for block in blocks_of(lines, BLOCK, BLOCK_BYTES):
            own = digest_of(block)
            digest.merge(own)
            draft.add(block_of(block), own)
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
        self._blocks, self._rows_waiting, self._bytes_waiting = list[bytes](), 0, 0
        self._first: bytes | None = None
        self._last: bytes | None = None
        self._count, self._digest, self._text = 0, RowsDigest(), sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, block: bytes, digest: RowsDigest) -> None:
        """Write a block of lines after the earlier ones; raise InexactRowsError for rows that the format cannot hold.

        `digest`: the digest of the lines, computed when they came from the database.
        """
        if block:
            self._first = block[: block.index(b"\n")] if self._first is None else self._first
            self._last = block[block.rfind(b"\n", 0, -1) + 1 : -1]
        self._text.update(block)
        self._digest.merge(digest)
        self._blocks.append(block)
        self._rows_waiting += block.count(b"\n")
        self._bytes_waiting += len(block)
        if self._rows_waiting >= BLOCK or self._bytes_waiting >= BLOCK_BYTES:
            self._write_block()

    def finish(self, path: Path, known: RowsDigest) -> SegmentRecord:
        """Make the file durable, read it back, move it to `path`, and return its record.

        `known`: the digest that the rows must have. Raise IntegrityError if they have another, or if other rows are
        read back.
        """
        if self._blocks:
            self._write_block()
        if self._digest != known or self._count != known.rows:
            raise IntegrityError(
                f"{self._count} rows were to be written into {path.name} that are not the {known.rows} deleted rows.",
                "nothing was removed; look at who else writes to the spools.",
            )
        self._writer.close()
        self._file.flush()
        with ThreadPoolExecutor(1, "batchops-fsync") as beside:  # the disk needs no processor meanwhile
            durable = beside.submit(os.fsync, self._file.fileno())
            proof, size = self._read_back()
            durable.result()
        self._file.close()
        put_in_place(self._path, path)
        first, last = (key_texts(line, self._columns, self._key) for line in (self._first, self._last))
        return SegmentRecord(known.rows, size, proof, str(known), str(known), first, last)

    def discard(self) -> None:
        """Remove the file, unless it is finished."""
        if not self._file.closed:
            with suppress(Exception):  # else it would be closed later, after its file
                self._writer.close()
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _write_block(self) -> None:
        block = b"".join(self._blocks)
        self._count += self._rows_waiting
        self._blocks, self._rows_waiting, self._bytes_waiting = [], 0, 0
        self._writer.write(block)

    def _read_back(self) -> tuple[str, int]:
        """Return the file's SHA-256 and size; raise IntegrityError if it does not give back the text that was written.

        The same text in the same order has the same digest, which need not be computed line by line again.
        """
        text, count = sha256(), 0
        with self._path.open("rb") as file:
            for block in _read(file, self._rows):
                text.update(block)
                count += block.count(b"\n")
            file.seek(0)
            proof, size = sha256_of(file), file.tell()
        if text.digest() != self._text.digest():
            raise IntegrityError(
                f"{self._path.name} gives back {count} rows that are not the {self._count} rows written into it.",
                "nothing was removed; look at the disk, or use another --format.",
            )
        return proof, size


def read_segment(file: BinaryIO, columns: Sequence[ExactColumn], format: SegmentFormat) -> Iterator[list[bytes]]:
    """Yield the canonical lines of a segment in blocks; raise IntegrityError if the file cannot be read."""
    return (lines_in(block) for block in _read(file, format.of(columns)))


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of an open file."""
    digest = sha256()
    while part := file.read(_PART):
        digest.update(part)
    return digest.hexdigest()


def _read(file: BinaryIO, rows: RowFormat) -> Iterator[bytes]:
    try:
        yield from rows.read(file)
    except (ValueError, EOFError, OSError) as error:
        name = getattr(file, "name", "the segment")
        raise IntegrityError(f"{name} cannot be read: {error}") from error
