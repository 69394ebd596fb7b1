"""What JSON lines and CSV share: compressed text, converted from and to canonical lines in blocks of rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from batchops.archive.compressed import compressing, reading_compressed
from batchops.archive.formats import Compression
from batchops.archive.inexact import InexactRow
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of, is_text, lines_in

BLOCK_BYTES = 1 << 20
"""Bytes that are read at a time. Converting them takes several times as much memory."""
_PART_BYTES = 1 << 18
"""Bytes that are written at a time: each field may become an object of its own, many times as large."""


class TextRows:
    """Writes and reads the rows of one list of columns as records of text."""

    def __init__(
        self,
        columns: Sequence[ExactColumn],
        compression: Compression,
        records: Callable[[bytes], bytes],
        lines: Callable[[bytes], bytes],
        whole: Callable[[bytes], int],
        header: bytes = b"",
    ) -> None:
        """`records` converts a block of canonical lines to text, `lines` converts it back.

        `whole` returns how many bytes of a text are whole records.
        """
        self._columns = tuple(columns)
        self._compression = compression
        self._records = records
        self._lines = lines
        self._whole = whole
        self._header = header

    def writer(self, file: BinaryIO) -> "TextWriter":
        return TextWriter(compressing(file, self._compression), self._records, self._header)

    def read(self, file: BinaryIO) -> Iterator[bytes]:
        with reading_compressed(file, self._compression) as plain:
            if self._header and plain.read(len(self._header)) != self._header:
                raise ValueError("its header names other columns than its record")
            for block in self._blocks(plain):
                yield self._lines(block)

    def _blocks(self, plain: BinaryIO) -> Iterator[bytes]:
        """Yield blocks of whole records."""
        rest, most = b"", BLOCK_BYTES
        while part := plain.read(most):
            text = rest + part
            end = self._whole(text)
            rest = text[end:]
            most = max(BLOCK_BYTES, len(rest))  # so that a long record is not searched again and again
            if end:
                yield text[:end]
        if rest:
            raise ValueError("it ends within a record")

    def inexact(self, block: bytes) -> list[InexactRow]:
        if is_text(block):
            return []
        return [
            InexactRow(place, column.name, "it is not valid UTF-8")
            for place, line in enumerate(lines_in(block))
            if not is_text(line)
            for column, field in zip(self._columns, fields_of(line), strict=True)
            if field is not None and not is_text(field)
        ]


class TextWriter:
    """Writes the records of one file."""

    def __init__(self, stream: BinaryIO, records: Callable[[bytes], bytes], header: bytes) -> None:
        self._stream = stream
        self._records = records
        stream.write(header)

    def write(self, block: bytes) -> None:
        for part in _parts(block, _PART_BYTES):
            self._stream.write(self._records(part))

    def close(self) -> None:
        self._stream.close()


def columns_of(block: bytes, count: int) -> list[list[bytes]]:
    """Return the fields of canonical lines, still escaped, column by column."""
    fields = block.replace(b"\n", b"\t").split(b"\t")
    fields.pop()
    if len(fields) != count * block.count(b"\n"):
        raise ValueError("a row has other columns than its segment")
    return [fields[place::count] for place in range(count)]


def _parts(block: bytes, most: int) -> Iterator[bytes]:
    """Yield whole lines of a block, of about `most` bytes together."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start + most) + 1 or len(block)
        yield block[start:end]
        start = end
