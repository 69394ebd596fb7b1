"""Canonical lines of rows: fields escaped and read back, and the exact text of a driver's value.

Many lines are one block of bytes, in which each line ends with a line end: most is done to all of them at once.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.value_formats import span

NULL = b"\\N"
_ESCAPES = {b"\\": b"\\\\", b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t", b"\v": b"\\v"}
_SPECIAL = re.compile(rb"[\\\x08-\x0d]")
_ESCAPED_TEXT = {plain.decode(): escaped.decode() for plain, escaped in _ESCAPES.items()}
_SPECIALS = (*_ESCAPED_TEXT,)
_SPECIAL_TEXT = re.compile(r"[\\\x08-\x0d]")
_NOTHING = type(None)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MEANT = {escaped[1:]: plain for plain, escaped in _ESCAPES.items()}

Text = Callable[[Any], str | bytes]


class InexactValue(ValueError):  # noqa: N818  the row's error names the value
    """A value that its column's kind has no exact text for."""


def escape(value: bytes) -> bytes:
    """Return the value as a field of a line."""
    if _SPECIAL.search(value) is None:
        return value
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], value)


def unescape(field: bytes) -> bytes | None:
    """Return the value of a field; None for NULL."""
    if b"\\" not in field:
        return field
    return None if field == NULL else _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), field)


def block_of(lines: Sequence[bytes]) -> bytes:
    """Return the lines as a block."""
    return b"\n".join([*lines, b""])


def lines_in(block: bytes) -> list[bytes]:
    """Return the lines of a block."""
    lines = block.split(b"\n")
    lines.pop()
    return lines


def is_text(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_of(values: Sequence[bytes | None]) -> bytes:
    """Return the canonical line of a row whose values are texts already."""
    return b"\t".join([NULL if value is None else escape(value) for value in values])


def fields_of(line: bytes) -> list[bytes | None]:
    """Return the values of a canonical line, as texts."""
    if b"\\" not in line:
        return [*line.split(b"\t")]
    return [unescape(field) for field in line.split(b"\t")]


def line_maker(columns: Sequence[ExactColumn]) -> Callable[[Sequence[Any]], bytes]:
    """Return a function that makes a row's canonical line from the driver's values.

    It takes the values that `ExactColumns.selected` selects, and raises InexactValue, with the column's name, for a
    value that is not of the column's kind.
    """
    texts = [_TEXTS.get(column.kind, _text) for column in columns]

    def line(row: Sequence[Any]) -> bytes:
        fields = []
        for value, text, column in zip(row, texts, columns, strict=True):
            if value is None:
                fields.append(NULL)
                continue
            try:
                spelled = text(value)
            except (InexactValue, ValueError, TypeError) as error:
                raise InexactValue(f"{column.name}: {error}") from error
            fields.append(escape(spelled if isinstance(spelled, bytes) else spelled.encode()))
        return b"\t".join(fields)

    return line


def block_at_once(columns: Sequence[ExactColumn], rows: Sequence[Sequence[Any]]) -> bytes | None:
    """Return the canonical lines of many rows, made column by column; None where a value has an unusual type.

    The caller then makes the lines row by row.
    """
    spelled = []
    for column, values in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        fields = _column_fields(column.kind, values)
        if fields is None:
            return None
        spelled.append(fields)
    try:
        return "\n".join([*map("\t".join, zip(*spelled, strict=True)), ""]).encode()
    except UnicodeEncodeError:
        return None


def _column_fields(kind: ExactKind, values: Sequence[Any]) -> Sequence[str] | None:
    wanted, text = _AT_ONCE.get(kind, (str, None))
    types = {*map(type, values)}
    nulls = _NOTHING in types
    if wanted is None or not types <= {wanted, _NOTHING}:
        return None
    if text is not None:
        return ["\\N" if value is None else text(value) for value in values] if nulls else [*map(text, values)]
    joined = "".join(filter(None, values)) if nulls else "".join(values)
    if any(special in joined for special in _SPECIALS):
        return [
            "\\N" if value is None else _SPECIAL_TEXT.sub(lambda found: _ESCAPED_TEXT[found[0]], value)
            for value in values
        ]
    return ["\\N" if value is None else value for value in values] if nulls else values


def float_text(value: float) -> str:
    """Return a double as PostgreSQL writes it: the shortest digits that are read back as the same number."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return restyled(repr(value), 15)


def restyled(digits: str, widest: int) -> str:
    """Return a number's digits as PostgreSQL writes them: with an exponent from `widest` digits on and below 0.0001."""
    mantissa, _, exponent = digits.lower().partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    significant = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(significant))
    significant = significant.rstrip("0")
    if not significant:
        return f"{sign}0"
    power = point - 1
    if power < -4 or power >= widest:
        more = f".{significant[1:]}" if len(significant) > 1 else ""
        return f"{sign}{significant[0]}{more}e{'-' if power < 0 else '+'}{abs(power):02}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{significant}"
    if len(significant) <= point:
        return f"{sign}{significant}{'0' * (point - len(significant))}"
    return f"{sign}{significant[:point]}.{significant[point:]}"


def tagged(value: Any) -> str | bytes:
    """Return the text of a SQLite value with its storage class: `i:5`."""
    match value:
        case bool():
            raise InexactValue("a truth value is none of SQLite's")
        case int():
            return f"i:{value}"
        case float():
            return f"r:{float_text(value)}"
        case str():
            return b"t:" + _encoded(value)
        case bytes():
            return f"b:\\x{value.hex()}"
    raise InexactValue(f"{type(value).__name__} is none of SQLite's storage classes")


def _whole(value: Any) -> str:
    if type(value) is int or (type(value) is Decimal and value == value.to_integral_value()):
        return str(int(value))
    raise InexactValue(f"{value!r:.60} is no whole number")


def _decimal(value: Any) -> str:
    if type(value) is not Decimal:
        raise InexactValue(f"{value!r:.60} is no decimal number")
    return f"{value:f}"


def _double(value: Any) -> str:
    if type(value) is not float:
        raise InexactValue(f"{value!r:.60} is no floating-point number")
    return float_text(value)


def _boolean(value: Any) -> str:
    if value not in (0, 1):
        raise InexactValue(f"{value!r:.60} is no truth value")
    return "t" if value else "f"


def _bytes(value: Any) -> str:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InexactValue(f"{value!r:.60} is no binary value")
    return f"\\x{bytes(value).hex()}"


def _text(value: Any) -> bytes:
    if type(value) is not str:
        return _moment(value)
    return _encoded(value)


def _moment(value: Any) -> bytes:
    match value:
        case datetime():
            return value.isoformat(" ").encode()
        case date() | time():
            return value.isoformat().encode()
        case timedelta():
            return span(value).encode()
    raise InexactValue(f"{value!r:.60} is no text")


def _encoded(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InexactValue("it is not valid UTF-8") from error


_TEXTS: dict[ExactKind, Text] = {
    **dict.fromkeys(
        (
            ExactKind.INT8, ExactKind.INT16, ExactKind.INT32, ExactKind.INT64,
            ExactKind.UINT8, ExactKind.UINT16, ExactKind.UINT32, ExactKind.UINT64,
        ), _whole,
    ),
    ExactKind.DECIMAL: _decimal, ExactKind.FLOAT: _double, ExactKind.DOUBLE: _double, ExactKind.BOOLEAN: _boolean,
    ExactKind.BYTES: _bytes, ExactKind.TAGGED: tagged,
}  # fmt: skip
_AT_ONCE: dict[ExactKind, tuple[type | None, Callable[[Any], str] | None]] = {
    **{kind: (int, str) for kind, text in _TEXTS.items() if text is _whole},
    ExactKind.DECIMAL: (Decimal, "{:f}".format), ExactKind.FLOAT: (float, float_text),
    ExactKind.DOUBLE: (float, float_text), ExactKind.BYTES: (bytes, lambda value: f"\\\\x{value.hex()}"),
    ExactKind.BOOLEAN: (None, None), ExactKind.TAGGED: (None, None),
}  # fmt: skip
"""For each kind: the Python type that its values usually have, and the function that writes one as a field.

Without a function, the value is a text that may need escapes. Without a type, the kind has no usual type.
"""
