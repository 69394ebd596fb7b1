"""Segments as CSV (RFC 4180) with a header. As in PostgreSQL, NULL is an empty field, and an empty text is `""`."""

import csv
import io
import re
from collections.abc import Iterator, Sequence

from batchops.archive.formats import Compression, RowFormat
from batchops.archive.text_rows import TextRows, columns_of
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import NULL, block_of, escape, is_text, unescape

_QUOTED = re.compile(rb'[",\r\n]|^\s|\s$|^$|^\\')
_SOME_QUOTED = (b'"', b",", b"\n ", b" \n", b"\n\n")
"""What makes a field need quotes, searched in fields joined by line ends; for fields without escapes."""
_ALL_ENDS, _ALL_ENDS_AND_BLANKS = bytes.maketrans(b"\t", b"\n"), bytes.maketrans(b"\t ", b"\n\n")
"""Tables for finding empty fields, or also those with a blank at an end: they have two line ends in turn then."""
_SPECIAL = re.compile(r"[\\\x08-\x0d]")
_ALL = {*range(256)}
_PLAIN, _PLAIN_RECORDS = bytes(_ALL - {*b'\t\n\\",'}), bytes(_ALL - {*b'\x08\t\n\x0b\x0c\r",'})
"""The bytes within fields of lines that are written as they are, and within values that are read as they are."""
_NO_VALUE = re.compile(rb"(?<=[\t\n])(?=[\t\n])")
_EMPTY_TEXT = re.compile(rb'(?m)(?<![^,\n])""(?=,|$)')
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|$)')


def format_of(columns: Sequence[ExactColumn], compression: Compression) -> RowFormat:
    """Return the CSV format for rows of these columns."""
    coded = _Records(len(columns))
    header = b",".join(_value(column.name.encode()) for column in columns) + b"\n"
    return TextRows(columns, compression, coded.of, coded.lines, _whole, header)


def record(values: Sequence[str | None]) -> bytes:
    """Return one record with its line end."""
    return b",".join([b"" if value is None else _value(value.encode()) for value in values]) + b"\n"


class _Records:
    """Converts many rows at a time. In a table of one column, NULL is an empty line, which some readers skip."""

    def __init__(self, count: int) -> None:
        self._count = count

    def of(self, block: bytes) -> bytes:
        if not is_text(block):
            raise ValueError("the whole file is UTF-8")
        separators = (b"\t" * (self._count - 1) + b"\n") * block.count(b"\n")
        if block.translate(None, _PLAIN) == separators and not _doubled(_ALL_ENDS_AND_BLANKS, block):
            return block.replace(b"\t", b",")
        return block_of([*map(b",".join, zip(*map(_values, columns_of(block, self._count)), strict=True))])

    def lines(self, text: bytes) -> bytes:
        separators = (b"," * (self._count - 1) + b"\n") * text.count(b"\n")
        if text.translate(None, _PLAIN_RECORDS) == separators:
            return _lines(text)
        if not _EMPTY_TEXT.search(text):
            try:
                return self._parsed(text)
            except csv.Error:  # a value is larger than csv's parser accepts
                pass
        return block_of([self._line(record) for record in _records(text)])

    def _parsed(self, text: bytes) -> bytes:
        """Return the lines of records in which every empty field is NULL."""
        rows = [row or [""] for row in csv.reader(io.StringIO(text.decode(), newline=""), strict=True)]
        if {*map(len, rows)} != {self._count}:
            raise ValueError(f"a record has other than {self._count} fields")
        columns = [_escaped(values) for values in zip(*rows, strict=True)]
        return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""]).encode()

    def _line(self, record: str) -> bytes:
        found = [*_fields(record)]
        if len(found) != self._count:
            raise ValueError(f"a record has {len(found)} fields, not {self._count}")
        return b"\t".join(found)


def _lines(records: bytes) -> bytes:
    """Return the lines of records without quotes and special characters."""
    lines = records.replace(b"\\", b"\\\\").replace(b",", b"\t")
    return _NO_VALUE.sub(lambda _: NULL, b"\n%b" % lines)[1:] if _doubled(_ALL_ENDS, lines) else lines


def _doubled(table: bytes, text: bytes) -> bool:
    return b"\n\n" in (b"\n%b" % text).translate(table)


def _values(fields: list[bytes]) -> list[bytes]:
    """Return the fields of a column in the form in which they are written."""
    joined = b"\n".join((b"", *fields, b""))
    if b"\\" not in joined and not any(found in joined for found in _SOME_QUOTED):
        return fields
    return [b"" if field == NULL else _value(unescape(field) or b"") for field in fields]


def _value(text: bytes) -> bytes:
    return b'"%b"' % text.replace(b'"', b'""') if _QUOTED.search(text) else text


def _escaped(values: Sequence[str]) -> Sequence[str]:
    """Return a column's values as fields of canonical lines."""
    if _SPECIAL.search("".join(values)) is None:
        return [value or "\\N" for value in values] if "" in values else values
    return [escape(value.encode()).decode() if value else "\\N" for value in values]


def _fields(record: str) -> Iterator[bytes]:
    place = 0
    while True:
        found = _FIELD.match(record, place)
        if found is None:
            raise ValueError("a record's quotes make no sense")
        text, plain, end = found.groups()
        if text is not None:
            yield escape(text.replace('""', '"').encode())
        else:
            yield escape(plain.encode()) if plain else NULL
        if not end:
            return
        place = found.end()


def _records(text: bytes) -> Iterator[str]:
    """Yield the records of a text. A record continues over line ends as long as a quote is open."""
    parts: list[bytes] = []
    quotes = 0
    for line in text.split(b"\n")[:-1]:
        parts.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield b"\n".join(parts).decode()
            parts, quotes = [], 0


def _whole(text: bytes) -> int:
    """Return how many bytes are whole records: up to the last line end with no quote open before it."""
    end, quotes = len(text), text.count(b'"')
    while (place := text.rfind(b"\n", 0, end)) >= 0:
        quotes -= text.count(b'"', place, end)
        if quotes % 2 == 0:
            return place + 1
        end = place
    return 0
