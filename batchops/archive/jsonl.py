"""Segments as JSON lines: an object for each row. Integers, floats and booleans are JSON values, all else is text."""

import json
import re
from collections.abc import Sequence
from json.encoder import encode_basestring as quoted

from batchops.archive.formats import Compression, RowFormat
from batchops.archive.text_rows import TextRows, columns_of
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import NULL, block_of, escape, is_text

_FLOATING = frozenset((ExactKind.FLOAT, ExactKind.DOUBLE))
_NUMBER = rb"0|-?[1-9]\d*"
_FLOAT = rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]\d+)?"
_LETTER = rb"[tf]"
_TEXT = rb'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"'
_TRUTHS = {b"t": b"true", b"f": b"false", NULL: b"null"}
_MEANT = {word: letter for letter, word in _TRUTHS.items()}
_CONTROLS = bytes({*range(0x20)} - {*b"\t\n"})
"""Control characters that a line may hold and a JSON text may not. Line ends only separate the joined fields."""
_UNCHANGED = bytes({*range(256)} - {*_CONTROLS, *b'\\"'})
"""The bytes of texts that are written as they are."""
_CONTROL = re.compile(b"[%b]" % re.escape(_CONTROLS))
_ESCAPED = re.compile(rb"\\.")
_NAME = re.compile(r"\w+")
_OTHERWISE = (b"\\", b"\t", b"null")
"""What a block may hold only if each of its values is read by itself."""
_OTHER = re.compile(rb"\\[^bfnrt\"]")
"""Matches an escape that no canonical line has, in a record without its escaped backslashes."""


def format_of(columns: Sequence[ExactColumn], compression: Compression) -> RowFormat:
    """Return the JSON lines format for rows of these columns."""
    coded = _Records(columns)
    return TextRows(columns, compression, coded.of, coded.lines, lambda text: text.rfind(b"\n") + 1)


class _Records:
    """Converts many rows at a time, column by column: lines and records share most of their escapes."""

    def __init__(self, columns: Sequence[ExactColumn]) -> None:
        self._names = [column.name for column in columns]
        self._starts = [f"{',' if place else '{'}{quoted(name)}:".encode() for place, name in enumerate(self._names)]
        self._columns = [_Plain(plain) if (plain := _plain(column)) else _Texts() for column in columns]
        values = [
            b"%b(%b)" % (re.escape(start), column.written)
            for start, column in zip(self._starts, self._columns, strict=True)
        ]
        self._record = re.compile(rb"(?m)^%b\}\n" % b"".join(values))
        self._between = _between(columns)
        self._read = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_number).decode

    def of(self, block: bytes) -> bytes:
        if not is_text(block):
            raise ValueError("JSON is UTF-8")
        columns = columns_of(block, len(self._names))
        width, count, behind = 2 * len(columns), len(columns[0]), b""
        pieces, unchanged = [b""] * (width * count), not block.translate(None, _UNCHANGED)
        for place, (start, column, fields) in enumerate(zip(self._starts, self._columns, columns, strict=True)):
            same = unchanged and column.quote
            quote, pieces[2 * place + 1 :: width] = (column.quote, fields) if same else column.values(fields)
            pieces[2 * place :: width] = [behind + start + quote] * count
            behind = quote
        end = behind + b"}\n"
        pieces[width::width] = [end + pieces[0]] * (count - 1)
        return b"".join((*pieces, end))

    def lines(self, text: bytes) -> bytes:
        if self._between and not any(word in text for word in _OTHERWISE) and (lines := self._plain(text)):
            return lines
        found = self._record.findall(text)
        if len(found) != text.count(b"\n") or _OTHER.search(text.replace(b"\\\\", b"")):
            return block_of([self._line(record) for record in text[:-1].split(b"\n")])
        rows = found if len(self._names) > 1 else [(value,) for value in found]
        columns = [column.fields(values) for column, values in zip(self._columns, zip(*rows, strict=True), strict=True)]
        return block_of([*map(b"\t".join, zip(*columns, strict=True))])

    def _plain(self, text: bytes) -> bytes | None:
        """Return the lines of records whose quotes all begin or end a text; None if a record differs."""
        first, *between, last = self._between
        if not (text.startswith(first) and text.endswith(last)):
            return None
        for part in between:
            text = text.replace(part, b"\t")
        text = text[len(first) :].replace(last + first, b"\n").removesuffix(last) + b"\n"
        return None if b'"' in text or text.count(b"\t") != len(between) * text.count(b"\n") else text

    def _line(self, record: bytes) -> bytes:
        values = self._read(record.decode())
        if not isinstance(values, dict) or [*values] != self._names:
            raise ValueError("a record has other columns than its segment")
        return b"\t".join([NULL if value is None else escape(_text(value)) for value in values.values()])


class _Texts:
    """A column of texts."""

    quote = b'"'
    written = rb"%b|null" % _TEXT

    def values(self, fields: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
        """Return what comes before and after each value, and the values."""
        joined = b"\n".join(fields)
        escaped = b"\\" in joined
        if b"\\v" in joined:
            joined = _ESCAPED.sub(lambda found: b"\\u000b" if found[0] == b"\\v" else found[0], joined)
        if b'"' in joined:
            joined = joined.replace(b'"', b'\\"')
        if len(joined.translate(None, _CONTROLS)) < len(joined):
            joined = _CONTROL.sub(lambda found: b"\\u%04x" % found[0][0], joined)
        written = joined.split(b"\n")
        if escaped and NULL in fields:
            return b"", [b"null" if field == NULL else b'"%b"' % field for field in written]
        return b'"', written

    def fields(self, values: Sequence[bytes]) -> Sequence[bytes]:
        """Return written values as fields of canonical lines."""
        joined = b"\n".join(values)
        if b"null" in joined and b"null" in values:
            joined = b"\n".join([NULL if value == b"null" else value[1:-1] for value in values])
        else:
            joined = joined[1:-1].replace(b'"\n"', b"\n")
        return (joined.replace(b'\\"', b'"') if b'"' in joined else joined).split(b"\n")


class _Plain:
    """A column of numbers or of booleans. A value that JSON would read differently is written as a text."""

    quote = b""

    def __init__(self, plain: bytes) -> None:
        self._truths = plain == _LETTER
        self._one = re.compile(plain)
        self._all = re.compile(rb"(?:(?:%b)\n)*" % plain)
        self.written = rb"%b|%b|null" % (rb"true|false" if self._truths else plain, _TEXT)

    def values(self, fields: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
        """Return what comes before and after each value, and the values."""
        if self._truths or not self._all.fullmatch(b"\n".join(fields) + b"\n"):
            return b"", [self._value(field) for field in fields]
        return b"", fields

    def _value(self, field: bytes) -> bytes:
        if (word := _TRUTHS.get(field)) and (self._truths or field == NULL):
            return word
        quote, (value,) = (b"", (field,)) if self._one.fullmatch(field) else _Texts().values((field,))
        return quote + value + quote

    def fields(self, values: Sequence[bytes]) -> Sequence[bytes]:
        """Return written values as fields of canonical lines."""
        joined = b"\n".join(values)
        if not (self._truths or b'"' in joined or b"n" in joined):
            return values
        return [
            _MEANT.get(value) or (_Texts().fields((value,))[0] if value.startswith(b'"') else value) for value in values
        ]


def _between(columns: Sequence[ExactColumn]) -> Sequence[bytes]:
    """Return the texts before, between and after the values of a record; none if values are written in other words."""
    if not all(_NAME.fullmatch(column.name) and _plain(column) != _LETTER for column in columns):
        return ()
    before, parts = b"{", list[bytes]()
    for column in columns:
        quote = b"" if _plain(column) else b'"'
        parts.append(b'%b"%b":%b' % (before, column.name.encode(), quote))
        before = quote + b","
    return (*parts, before[:-1] + b"}\n")


def _plain(column: ExactColumn) -> bytes | None:
    """Return the pattern of the column's values that are not texts in JSON; None for a column of texts."""
    if column.kind.startswith(("int", "uint")):
        return _NUMBER
    if column.kind in _FLOATING:
        return _FLOAT
    return _LETTER if column.kind is ExactKind.BOOLEAN else None


def _text(value: object) -> bytes:
    if type(value) is str:
        return value.encode()
    if value is True or value is False:
        return b"t" if value else b"f"
    raise ValueError("a record holds what no segment has")


def _no_number(name: str) -> str:
    raise ValueError(f"{name} is no JSON")
