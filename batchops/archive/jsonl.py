"""Segments as JSON lines: an object a row; whole and floating-point numbers as numbers, all else as text."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from json.encoder import encode_basestring as quoted
from typing import BinaryIO

from batchops.archive.formats import Compression, RowFormat
from batchops.archive.text_rows import Fields, TextRows
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import NULL, escape

_WHOLE = frozenset(kind for kind in ExactKind if kind.startswith(("int", "uint")))
_FLOATING = frozenset((ExactKind.FLOAT, ExactKind.DOUBLE))
_TRUTHS = {"t": "true", "f": "false"}
_NUMBER = re.compile(r"0|-?[1-9]\d*")
_FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]\d+)?")


def format_of(columns: Sequence[ExactColumn], compression: Compression) -> RowFormat:
    """JSON lines for rows of these columns."""
    names = [column.name for column in columns]
    starts = [f"{',' if place else '{'}{quoted(name)}:" for place, name in enumerate(names)]
    ways = [*zip(starts, map(_way, columns), strict=True)]

    def record(fields: Fields) -> str:
        parts = [
            f"{start}null" if field is None else start + way(field.decode())
            for (start, way), field in zip(ways, fields, strict=True)
        ]
        return "".join(parts) + "}\n"

    read = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_number).decode

    def line(text: str) -> bytes:
        values = read(text)
        if [*values] != names:
            raise ValueError("a record has other columns than its segment")
        return b"\t".join([NULL if value is None else escape(_text(value)) for value in values.values()])

    return TextRows(columns, compression, record, line, _records)


def _way(column: ExactColumn) -> Callable[[str], str]:
    if column.kind in _WHOLE:
        return _number
    if column.kind in _FLOATING:
        return _floating
    if column.kind is ExactKind.BOOLEAN:
        return lambda text: _TRUTHS.get(text) or quoted(text)
    return quoted


def _number(text: str) -> str:
    """A text that JSON would read in another way stays one."""
    return text if _NUMBER.fullmatch(text) else quoted(text)


def _floating(text: str) -> str:
    return text if _FLOAT.fullmatch(text) else quoted(text)


def _text(value: object) -> bytes:
    if type(value) is str:
        return value.encode()
    if value is True or value is False:
        return b"t" if value else b"f"
    raise ValueError("a record holds what no segment has")


def _records(plain: BinaryIO) -> Iterator[str]:
    return (record.decode() for record in plain)


def _no_number(name: str) -> str:
    raise ValueError(f"{name} is no JSON")
