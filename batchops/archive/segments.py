"""Writes canonical lines to segments, which are read back before they get their name, and reads them."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from batchops.archive.durable import create, put_in_place
from batchops.archive.formats import RowFormat, SegmentFormat
from batchops.archive.lines import RowsDigest, blocks_of
from batchops.archive.records import SegmentRecord, key_texts
from batchops.db.exact_columns import ExactColumn
from batchops.errors import IntegrityError

BLOCK = 16_384
"""The most rows of a block, which is a row group in Parquet."""
BLOCK_BYTES = 8 << 20
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
    rows, partial = format.of(columns), path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    try:
        with create(partial) as file:
            written, first, last = _write(lines, rows, file, known)
        record = _read_back(partial, rows, written)
        put_in_place(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    first_key, last_key = (key_texts(line, columns, key) for line in (first, last))
    return SegmentRecord(**(record | {"first_key": first_key, "last_key": last_key}))  # type: ignore[arg-type]  # mypy does not see into the dict


def read_segment(file: BinaryIO, columns: Sequence[ExactColumn], format: SegmentFormat) -> Iterator[list[bytes]]:
    """Yield the canonical lines of a segment in blocks; raise IntegrityError if the file cannot be read."""
    return _read(file, format.of(columns))


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of an open file."""
    digest = hashlib.sha256()
    while part := file.read(_PART):
        digest.update(part)
    return digest.hexdigest()


def _write(
    lines: Iterable[bytes], rows: RowFormat, file: BinaryIO, known: RowsDigest | None
) -> tuple[RowsDigest, bytes | None, bytes | None]:  # fmt: skip
    """Write the lines; return their digest, the first line and the last."""
    digest, first, last = RowsDigest(), None, None
    writer = rows.writer(file)
    try:
        for block in blocks_of(lines, BLOCK, BLOCK_BYTES):
            if known is None:
                digest.add(block)
            first = block[0] if first is None else first
            last = block[-1]
            writer.write(block)
    except BaseException:
        with suppress(Exception):  # else it would be closed later, after its file
            writer.close()
        raise
    writer.close()
    return known or digest, first, last


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
