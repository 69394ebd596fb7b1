"""What JSON lines and CSV share: compressed text, converted from and to canonical lines in blocks of rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from batchops.archive.compressed import compressing, reading_compressed
from batchops.archive.formats import Compression
from batchops.archive.inexact import InexactRow
from batchops.archive.lines import blocks_of
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of

BLOCK_BYTES = 1 << 20
"""Bytes that are read or written at a time. Converting them takes several times as much memory."""
_FIELDS = 1 << 16
"""The most fields that are written at a time."""


class TextRows:
    """Writes and reads the rows of one list of columns as records of text."""

    def __init__(
        self,
        columns: Sequence[ExactColumn],
        compression: Compression,
        records: Callable[[Sequence[bytes]], bytes],
        lines: Callable[[bytes], Sequence[bytes]],
        whole: Callable[[bytes], int],
        header: bytes = b"",
    ) -> None:
        """`records` converts canonical lines to text, `lines` converts them back.

        `whole` returns how many bytes of a text are whole records.
        """
        self._columns = tuple(columns)
        self._compression = compression
        self._records = records
        self._lines = lines
        self._whole = whole
        self._header = header

    def writer(self, file: BinaryIO) -> "TextWriter":
        most = max(1, _FIELDS // len(self._columns))
        return TextWriter(compressing(file, self._compression), self._records, self._header, most)

    def read(self, file: BinaryIO) -> Iterator[list[bytes]]:
        with reading_compressed(file, self._compression) as plain:
            if self._header and plain.read(len(self._header)) != self._header:
                raise ValueError("its header names other columns than its record")
            for block in self._blocks(plain):
                yield [*self._lines(block)]

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

    def inexact(self, lines: Sequence[bytes]) -> list[InexactRow]:
        if _is_text(b"\n".join(lines)):
            return []
        return [
            InexactRow(place, column.name, "it is not valid UTF-8")
            for place, line in enumerate(lines)
            if not _is_text(line)
            for column, field in zip(self._columns, fields_of(line), strict=True)
            if field is not None and not _is_text(field)
        ]


class TextWriter:
    """Writes the records of one file."""

    def __init__(self, stream: BinaryIO, records: Callable[[Sequence[bytes]], bytes], header: bytes, most: int) -> None:
        self._stream = stream
        self._records = records
        self._most = most
        stream.write(header)

    def write(self, lines: Sequence[bytes]) -> None:
        for block in blocks_of(lines, self._most, BLOCK_BYTES):
            self._stream.write(self._records(block))

    def close(self) -> None:
        self._stream.close()


def columns_of(lines: Sequence[bytes], count: int) -> list[list[bytes]]:
    """Return the fields of canonical lines, still escaped, column by column."""
    fields = b"\t".join(lines).split(b"\t")
    if len(fields) != count * len(lines):
        raise ValueError("a row has other columns than its segment")
    return [fields[place::count] for place in range(count)]


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
