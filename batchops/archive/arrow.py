"""Converts canonical lines to Arrow's typed columns and back: exactly, or with an error that names the row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from batchops.archive.arrow_numbers import mended, number, positional
from batchops.archive.inexact import InexactRow, InexactRowsError
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import is_text, unescape

Spell = Callable[[Any], Any]

# pyarrow imports pandas for its first value, where that is installed: better here than while rows are locked.
_NOTHING, _LINE_END, _TAB = pa.scalar(""), pa.scalar("\n"), pa.scalar("\t")
_ESCAPES = (("\\", "\\\\"), ("\b", "\\b"), ("\f", "\\f"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\v", "\\v"))
_DASHED = (8, 12, 16, 20)
"""The positions of the digits of a UUID that follow a dash."""
_NO_UUID = pa.scalar(b"00000000-0000-0000-0000-000000000000", pa.binary())


@dataclass(frozen=True)
class Spelling:
    """How Arrow holds one kind of column: its type, and the functions that convert texts to values and back.

    A function raises ArrowInvalid or ValueError for a value that it cannot convert.
    """

    type: Any
    read: Spell
    write: Spell
    plain: str = ""
    """A pattern of texts that certainly convert back to the same text; "" if only a trial shows that."""


class ArrowRows:
    """Converts the rows of one list of columns."""

    def __init__(self, columns: Sequence[ExactColumn]) -> None:
        self._columns = tuple(columns)
        self._spellings = [spelling(column) for column in columns]
        fields = [_field(column, how) for column, how in zip(columns, self._spellings, strict=True)]
        self.schema = pa.schema(fields)
        self._names = [f"c{number}" for number in range(len(columns))]
        self._doubtful = [place for place, column in enumerate(columns) if column.kind not in SURE]
        self._parse = csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False, ignore_empty_lines=False)

    def batch(self, block: bytes) -> Any:
        """Return a block's rows as a record batch; raise InexactRowsError for values that their types cannot hold."""
        texts = self._texts(block)
        arrays = []
        for place, text in enumerate(texts):
            try:
                arrays.append(self._spellings[place].read(text))
            except (pa.ArrowInvalid, ValueError) as error:
                raise InexactRowsError(self._failing(place, text)) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def block(self, batch: Any) -> bytes:
        """Return the canonical lines of a record batch."""
        rows: int = batch.num_rows
        texts = []
        for column, how, array in zip(self._columns, self._spellings, batch.columns, strict=True):
            text = how.write(array)
            texts.append(_escaped(text) if column.kind in _ESCAPED else text)
        if not texts:
            return b"\n" * rows
        texts[-1] = _joined(texts[-1], _NOTHING, _LINE_END)
        return _data(_joined(*texts, _TAB))

    def inexact(self, block: bytes) -> list[InexactRow]:
        """Return the values that would not convert back to the same text, with the places of their lines."""
        found, places = [], self._doubtful if is_text(block) else range(len(self._columns))
        for place, text in zip(places, self._texts(block, places), strict=True):
            how = self._spellings[place]
            if how.plain and _all_match(text, how.plain):
                continue
            try:
                back = how.write(how.read(text))
                if back.equals(text.cast(pa.string())):
                    continue
            except (pa.ArrowInvalid, ValueError):
                pass
            found += self._failing(place, text)
        return sorted(found, key=lambda row: row.place)

    def _texts(self, block: bytes, places: Sequence[int] | None = None) -> list[Any]:
        """Return a binary array of unescaped texts for each column, or for the columns at these places."""
        names = self._names if places is None else [self._names[place] for place in places]
        if not block or not names:
            return [pa.array([], pa.binary()) for _ in names]
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), null_values=["\\N"], strings_can_be_null=True,
            include_columns=names,
        )  # fmt: skip
        options = csv.ReadOptions(column_names=self._names, block_size=max(len(block) + 1, 1 << 10), use_threads=False)
        table = csv.read_csv(pa.BufferReader(block), options, self._parse, convert)
        if table.num_rows != (count := block.count(b"\n")):
            raise ValueError(f"{count} lines were {table.num_rows} rows")
        texts = [_whole(table.column(name)) for name in names]
        return [*map(_unescaped, texts)] if b"\\" in block else texts

    def _failing(self, place: int, texts: Any) -> list[InexactRow]:
        """Return the values of a column that are not exact, by a trial of each."""
        how, column, found = self._spellings[place], self._columns[place], []
        for row in range(len(texts)):
            text = texts.slice(row, 1)
            try:
                if how.write(how.read(text)).equals(text.cast(pa.string())):
                    continue
            except (pa.ArrowInvalid, ValueError):
                pass
            value = (text[0].as_py() or b"")[:60].decode("utf-8", "backslashreplace")
            way_out = "" if column.kind in SURE else " (--format jsonl or csv holds it)"
            found.append(InexactRow(row, column.name, f"{value} is not exact as {how.type}{way_out}"))
        return found


SURE = frozenset((
    ExactKind.INT8, ExactKind.INT16, ExactKind.INT32, ExactKind.INT64, ExactKind.UINT8, ExactKind.UINT16,
    ExactKind.UINT32, ExactKind.UINT64, ExactKind.BOOLEAN, ExactKind.BYTES, ExactKind.UUID, ExactKind.TEXT,
    ExactKind.TAGGED,
))  # fmt: skip
"""Kinds whose values always convert back to the same text, if they are UTF-8."""


_ESCAPED = frozenset((ExactKind.BYTES, ExactKind.TEXT, ExactKind.TAGGED))
"""Kinds whose texts may have characters to escape."""


def _all_match(texts: Any, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, pattern)).as_py() is not False


def spelling(column: ExactColumn) -> Spelling:
    """Return how Arrow holds a column."""
    kind = column.kind
    if kind is ExactKind.DECIMAL:
        return _decimal(column.precision, column.scale)
    return _SPELLINGS[kind]


def _field(column: ExactColumn, how: Spelling) -> Any:
    return pa.field(column.name, how.type, column.nullable, metadata={"batchops": f"{column.kind} {column.sql_type}"})


def _joined(*texts: Any) -> Any:
    """Return the texts of each row, joined by the last argument; NULL as `\\N`."""
    return pc.binary_join_element_wise(*texts, null_handling="replace", null_replacement="\\N")


def _data(texts: Any) -> bytes:
    """Return all texts of an array one after another."""
    _, offsets, data = texts.buffers()
    places = memoryview(offsets).cast("i")
    start, end = places[texts.offset], places[texts.offset + len(texts)]
    return b"" if data is None else bytes(memoryview(data)[start:end])


def _whole(chunked: Any) -> Any:
    combined = chunked.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _unescaped(texts: Any) -> Any:
    """Return the texts without escapes. Most arrays have none, and are returned unchanged."""
    escaped = pc.match_substring(texts, "\\")
    if not pc.any(escaped).as_py():
        return texts
    return pa.array([unescape(text) if text is not None else None for text in texts.to_pylist()], pa.binary())


def _escaped(texts: Any) -> Any:
    data = texts.buffers()[2]
    there = data.to_pybytes() if data is not None else b""
    for plain, escape in _ESCAPES:  # the backslash first, which the others bring
        if plain.encode() in there:
            texts = pc.replace_substring(texts, plain, escape)
    return texts


def _cast(type: Any, plain: str = "") -> Spelling:
    return Spelling(type, lambda texts: _text(texts).cast(type), lambda values: values.cast(pa.string()), plain)


def _text(texts: Any) -> Any:
    """Return the texts as strings; Arrow raises ArrowInvalid if they are not UTF-8."""
    return texts.cast(pa.string())


def _decimal(precision: int, scale: int) -> Spelling:
    type = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)

    def write(values: Any) -> Any:
        texts = values.cast(pa.string())
        return mended(texts, "E", lambda text: positional(text, scale))

    most, rest = precision - scale or 1, rf"\.\d{{{scale}}}" if scale else ""
    # Without "-0": the minus before zeros alone would be lost.
    digits = rf"^(\d{{1,{most}}}{rest}|-\d{{0,{most - 1}}}[1-9]\d{{0,{most - 1}}}{rest}|-0\.\d*[1-9]\d*)$"
    return Spelling(type, lambda texts: _text(texts).cast(type), write, digits)


def _moment(values: Any) -> Any:
    """Return times as texts, without the zeros at the end of the fraction, which Arrow always writes."""
    return pc.utf8_rtrim(pc.utf8_rtrim(values.cast(pa.string()), "0"), ".")


def _instant(values: Any) -> Any:
    plain = _moment(values.cast(pa.timestamp("us")))
    return pc.binary_join_element_wise(plain, "+00", "")


def _bytes(texts: Any) -> Any:
    def value(text: bytes | None) -> bytes | None:
        if text is None:
            return None
        if not text.startswith(b"\\x"):
            raise ValueError("no hexadecimal digits")
        return bytes.fromhex(text[2:].decode())

    return pa.array([value(text) for text in texts.to_pylist()], pa.binary())


def _hex(values: Any) -> Any:
    return pa.array([None if one is None else f"\\x{one.hex()}" for one in values.to_pylist()], pa.string())


def _uuids(texts: Any) -> Any:
    """Convert all texts at once: without their dashes they are the digits of one long binary value."""
    filled = pc.fill_null(texts, _NO_UUID)
    digits = b"".join(filled.to_pylist()).translate(None, b"-")
    if len(digits) != 32 * len(texts):
        raise ValueError("no UUID")
    values = pa.py_buffer(bytes.fromhex(digits.decode()))
    stored = pa.Array.from_buffers(pa.binary(16), len(texts), [None, values])
    return pa.ExtensionArray.from_storage(pa.uuid(), _with_nulls(stored, texts))


def _dashed(values: Any) -> Any:
    """Return UUIDs as texts: copies the digits of all of them at once to their positions between the dashes."""
    count = len(values)
    stored = pc.fill_null(values.storage, bytes(16))
    digits = b"".join(stored.to_pylist()).hex().encode()
    text = bytearray(b"-" * (36 * count))
    place = 0
    for digit in range(32):
        place += digit in _DASHED
        text[place::36] = digits[digit::32]
        place += 1
    offsets = pa.array(range(0, 36 * count + 1, 36), pa.int32()).buffers()[1]
    return _with_nulls(pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(bytes(text))]), values)


def _with_nulls(values: Any, like: Any) -> Any:
    """Return the values, with null wherever the array `like` has null."""
    return pc.if_else(pc.is_valid(like), values, None) if like.null_count else values


def _truth(texts: Any) -> Any:
    if not pc.all(pc.is_in(texts, pa.array([b"t", b"f", None], pa.binary()))).as_py():
        raise ValueError("neither t nor f")
    return pc.equal(texts, pa.scalar(b"t", pa.binary()))


def _read_moment(texts: Any) -> Any:
    return _text(texts).cast(pa.timestamp("us"))


_INSTANT = pa.timestamp("us", "UTC")
_DAY, _TIME = r"^\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?"
"""Patterns of a date from year 1 to 9999, and of a time."""
_SPELLINGS = {
    ExactKind.INT8: _cast(pa.int8()), ExactKind.INT16: _cast(pa.int16()), ExactKind.INT32: _cast(pa.int32()),
    ExactKind.INT64: _cast(pa.int64()), ExactKind.UINT8: _cast(pa.uint8()), ExactKind.UINT16: _cast(pa.uint16()),
    ExactKind.UINT32: _cast(pa.uint32()), ExactKind.UINT64: _cast(pa.uint64()),
    ExactKind.FLOAT: Spelling(pa.float32(), lambda texts: _text(texts).cast(pa.float32()), number(6)),
    ExactKind.DOUBLE: Spelling(pa.float64(), lambda texts: _text(texts).cast(pa.float64()), number(15)),
    ExactKind.BOOLEAN: Spelling(pa.bool_(), _truth, lambda values: pc.if_else(values, "t", "f")),
    ExactKind.DATE: _cast(pa.date32(), f"{_DAY}$"),
    ExactKind.TIMESTAMP: Spelling(pa.timestamp("us"), _read_moment, _moment, f"{_DAY} {_TIME}$"),
    ExactKind.INSTANT: Spelling(_INSTANT, lambda texts: _text(texts).cast(_INSTANT), _instant, rf"{_DAY} {_TIME}\+00$"),
    ExactKind.UUID: Spelling(pa.uuid(), _uuids, _dashed),
    ExactKind.BYTES: Spelling(pa.binary(), _bytes, _hex),
    ExactKind.TEXT: Spelling(pa.string(), _text, lambda values: values),
    ExactKind.TAGGED: Spelling(pa.string(), _text, lambda values: values),
}  # fmt: skip
