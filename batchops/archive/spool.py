"""A spool: the file that rows are written to before the transaction that deletes them commits.

A spool has one writer: its name holds run, worker and fencing token. A header describes the rows. Frames follow, each
with one batch or a part of one: lengths, batch number, rows and checksum, then the rows' canonical lines. No byte of
a batch that may be committed is ever changed. The ledger records how much of the file is committed.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from batchops.archive.durable import sync_folder
from batchops.errors import IntegrityError

FOLDER = "spools"
SUFFIX = ".spool"
_MAGIC = b"batchops spool 1\n"
_FRAME = Struct(">4sQQQ16s")
_MARK = b"rows"


@dataclass(frozen=True)
class Frame:
    """The rows of one batch, or of a part of it."""

    batch: int
    lines: list[bytes]
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

    def append(self, batch: int, lines: Sequence[bytes], at: int | None = None) -> int:
        """Write rows of a batch after the committed bytes, or after rows of it that end at `at`; return the new end."""
        data = b"\n".join(lines)
        head = _FRAME.pack(_MARK, batch, len(lines), len(data), _checksum(data))
        return _write_at(self._file, data, _write_at(self._file, head, self.length if at is None else at))

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


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def read_header(path: Path) -> dict[str, Any]:
    """Return the header that describes the rows; raise IntegrityError if the file is not a spool."""
    with path.open("rb") as file:
        return _header(path, file)


def frames(path: Path, length: int | None = None, after: int = 0) -> Iterator[Frame]:
    """Yield the frames up to `length`, or without it up to the last whole one.

    Raise IntegrityError if a frame before `length` is damaged.

    `after`: the end of a frame; the frames behind it are the first.
    """
    with path.open("rb") as file:
        _header(path, file)
        file.seek(max(after, file.tell()))
        while length is None or file.tell() < length:
            start = file.tell()
            frame = _frame(file)
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
    mark, batch, rows, size, proof = _FRAME.unpack(head)
    if mark != _MARK:
        return None
    data = file.read(size)
    if len(data) < size or _checksum(data) != proof:
        return None
    lines = data.split(b"\n")
    return Frame(batch, lines, file.tell()) if len(lines) == rows else None


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise IntegrityError(f"{path} is no spool of batchops.", "leave nothing else in the folder of spools.")
    try:
        header: dict[str, Any] = json.loads(file.readline())
    except ValueError as error:
        raise IntegrityError(f"The header of spool {path} is damaged.") from error
    return header
