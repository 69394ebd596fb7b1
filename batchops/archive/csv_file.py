"""Segments as CSV (RFC 4180) with a header; NULL is nothing at all, an empty text is `""`, as PostgreSQL has it."""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from batchops.archive.formats import Compression, RowFormat
from batchops.archive.text_rows import Fields, TextRows
from batchops.db.exact_columns import ExactColumn
from batchops.db.exact_text import NULL, escape

_QUOTED = re.compile(r'[",\r\n]|^\s|\s$|^$|^\\')
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|$)')


def format_of(columns: Sequence[ExactColumn], compression: Compression) -> RowFormat:
    """CSV for rows of these columns."""
    count = len(columns)

    def record(fields: Fields) -> str:
        # A row with one NULL would be an empty line, which readers pass over.
        if count == 1 and fields[0] is None:
            return "\n"
        return ",".join(["" if field is None else _quoted(field.decode()) for field in fields]) + "\n"

    def line(record: str) -> bytes:
        found = [*_fields(record.removesuffix("\n"))]
        if len(found) != count:
            raise ValueError(f"a record has {len(found)} fields, not {count}")
        return b"\t".join(found)

    header = ",".join(_quoted(column.name) for column in columns) + "\n"
    return TextRows(columns, compression, record, line, _records, header)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _fields(record: str) -> Iterator[bytes]:
    if '"' not in record:
        yield from (escape(field.encode()) if field else NULL for field in record.split(","))
        return
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


def _records(plain: BinaryIO) -> Iterator[str]:
    """A record goes on over line ends as long as a quote is open."""
    parts: list[str] = []
    quotes = 0
    for line in plain:
        text = line.decode()
        parts.append(text)
        quotes += text.count('"')
        if quotes % 2 == 0:
            yield "".join(parts)
            parts, quotes = [], 0
    if parts:
        raise ValueError("it ends within a record")
