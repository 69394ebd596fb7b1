"""What JSON lines and CSV have in common: a line of text a row, compressed, and read back in blocks."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from batchops.archive.compressed import compressing, reading_compressed
from batchops.archive.formats import Compression
from batchops.archive.inexact import InexactRow
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import fields_of

BLOCK = 8_192
"""Rows that are read at once."""

Fields = Sequence[bytes | None]


class TextRows:
    """Rows of these columns as records of text."""

    def __init__(
        self,
        columns: Sequence[ExactColumn],
        compression: Compression,
        record: Callable[[Fields], str],
        line: Callable[[str], bytes],
        records: Callable[[BinaryIO], Iterator[str]],
        header: str = "",
    ) -> None:
        """`record`: a row's record with its line end; `line`: the canonical line of one; `records`: those of a file."""
        self._columns = tuple(columns)
        self._compression = compression
        self._record = record
        self._line = line
        self._records = records
        self._header = header

    def writer(self, file: BinaryIO) -> "TextWriter":
        return TextWriter(compressing(file, self._compression), self._record, self._header)

    def read(self, file: BinaryIO) -> Iterator[list[bytes]]:
        with reading_compressed(file, self._compression) as plain:
            records = self._records(plain)
            if self._header and next(records, "") != self._header:
                raise ValueError("its header names other columns than its record")
            while block := [self._line(record) for record in islice(records, BLOCK)]:
                yield block

    def inexact(self, lines: Sequence[bytes]) -> list[InexactRow]:
        found = []
        for place, line in enumerate(lines):
            try:
                line.decode()
            except UnicodeDecodeError:
                found += [
                    InexactRow(place, column.name, "it is not valid UTF-8")
                    for column, field in zip(self._columns, fields_of(line), strict=True)
                    if field is not None and not _is_text(field)
                ]
        return found


class TextWriter:
    """One file."""

    def __init__(self, stream: BinaryIO, record: Callable[[Fields], str], header: str) -> None:
        self._stream = stream
        self._record = record
        stream.write(header.encode())

    def write(self, lines: Sequence[bytes]) -> None:
        record = self._record
        self._stream.write("".join([record(fields_of(line)) for line in lines]).encode())

    def close(self) -> None:
        self._stream.close()


def _is_text(field: bytes) -> bool:
    try:
        field.decode()
    except UnicodeDecodeError:
        return False
    return True
