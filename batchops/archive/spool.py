"""A spool: the file that rows are written to before the transaction that deletes them commits.

A spool has one writer: its name holds run, worker and fencing token. A header describes the rows. Frames follow, each
with one batch or a part of one: batch number, rows, length, digest and checksum, then the rows' canonical lines. Bytes
of a batch that may be committed are never changed. The ledger records how much of the file is committed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from batchops.archive.durable import sync_folder
from batchops.archive.lines import RowsDigest, digest_of
from batchops.errors import IntegrityError

FOLDER = "spools"
SUFFIX = ".spool"
_MAGIC, _MAGIC_1 = b"batchops spool 2\n", b"batchops spool 1\n"
_FRAME, _FRAME_1 = Struct(">4sQQQ16s16s"), Struct(">4sQQQ16s")
_MARK = b"rows"


@dataclass(frozen=True)
class Frame:
    """The rows of one batch, or of a part of it."""

    batch: int
    block: bytes
    """The canonical lines."""
    digest: RowsDigest
    """The digest of the lines, as it was computed when they came from the database."""
    end: int
    """Where the frame ends in the file."""


class SpoolWriter:
    """Writes a new spool, which has no other writer. Raises FileExistsError if there is a file of that name."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        """`header`: what a reader needs to know about the rows without a database."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            start = _MAGIC + json.dumps(header).encode() + b"\n"
            self.length = _write_at(self._file, start, 0)
            """The bytes that are committed. Bytes after them were not committed, and are overwritten."""
            sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, batch: int, block: bytes, digest: RowsDigest, at: int | None = None) -> int:
        """Write rows of a batch after the committed bytes, or after rows of it that end at `at`; return the new end.

        `digest`: the digest of the rows.
        """
        proof = bytes.fromhex(str(digest))
        head = _FRAME.pack(_MARK, batch, digest.rows, len(block), proof, _checksum(proof, block))
        return _write_at(self._file, block, _write_at(self._file, head, self.length if at is None else at))

    def sync(self) -> None:
        """Make what was written durable."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            os.close(self._file)


def _write_at(file: int, data: bytes, offset: int) -> int:
    """Write all of the data at an offset, and return where it ends."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        offset, rest = offset + written, rest[written:]
    return offset


def _checksum(digest: bytes, data: bytes) -> bytes:
    made = sha256(digest)
    made.update(data)
    return made.digest()[:16]


def read_header(path: Path) -> dict[str, Any]:
    """Return the header that describes the rows; raise IntegrityError if the file is not a spool."""
    with path.open("rb") as file:
        _version(path, file)
        return _header(path, file)


def frames(path: Path, length: int | None = None, after: int = 0) -> Iterator[Frame]:
    """Yield the frames up to `length`, or without it up to the last whole one.

    `after`: the end of a frame; the frames behind it are the first. Raise IntegrityError if a frame before `length` is
    damaged.
    """
    with path.open("rb") as file:
        next_frame = _frame_1 if _version(path, file) == _MAGIC_1 else _frame
        _header(path, file)
        file.seek(max(after, file.tell()))
        while length is None or file.tell() < length:
            start = file.tell()
            frame = next_frame(file)
            if frame is not None and (length is None or frame.end <= length):
                yield frame
                continue
            if length is None:
                return
            raise IntegrityError(
                f"Spool {path} is damaged at byte {start:,} of the {length:,} that were committed.",
                "the rows before it are whole; nothing was removed. Look at the disk.",
            )


def _frame(file: BinaryIO) -> Frame | None:
    """Return the next whole frame; None if there is none."""
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    mark, batch, rows, size, digest, checksum = _FRAME.unpack(head)
    if mark != _MARK:
        return None
    block = file.read(size)
    if len(block) < size or block.count(b"\n") != rows or _checksum(digest, block) != checksum:
        return None
    return Frame(batch, block, RowsDigest(digest.hex(), rows), file.tell())


def _frame_1(file: BinaryIO) -> Frame | None:
    """Return the next whole frame of a spool of version 1: it has no digest, and its last line has no line end."""
    head = file.read(_FRAME_1.size)
    if len(head) < _FRAME_1.size:
        return None
    mark, batch, rows, size, checksum = _FRAME_1.unpack(head)
    data = file.read(size) if mark == _MARK else b""
    lines = data.split(b"\n")
    if mark != _MARK or len(lines) != rows or blake2b(data, digest_size=16).digest() != checksum:
        return None
    return Frame(batch, data + b"\n", digest_of(lines), file.tell())


def _version(path: Path, file: BinaryIO) -> bytes:
    """Return the line that a spool begins with; raise IntegrityError if the file is not a spool."""
    magic = file.read(len(_MAGIC))
    if magic not in (_MAGIC, _MAGIC_1):
        raise IntegrityError(f"{path} is no spool of batchops.", "leave nothing else in the folder of spools.")
    return magic


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(file.readline())
    except ValueError as error:
        raise IntegrityError(f"The header of spool {path} is damaged.") from error
    return header
