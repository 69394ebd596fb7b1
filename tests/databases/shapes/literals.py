"""Values for the rows of shapes, as SQL literals."""

import uuid
from collections.abc import Sequence

from tests.databases.shapes.shape import LITE, MARIA, PG, ROWS, Literals


def one(values: Sequence[str]) -> Literals:
    return [(value,) for value in values]


def text(values: Sequence[str]) -> Literals:
    return one([f"'{value}'" for value in values])


IDS = one([str(i) for i in range(ROWS)])
# With version and variant as they are drawn: MariaDB takes no others.
UUIDS = [str(uuid.UUID(int=(i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, version=4)) for i in range(ROWS)]
HEX = [value.replace("-", "") for value in UUIDS]
WORDS = [
    "",
    *(a + b for a in ("a", "A", "ä", "Z", "ß", "日本", "\U0001f600", "O''Brien") for b in ("", "!", "b", "ü")),
]
BLANKS = ["a", "a ", "a  ", "ab", " a", "b", "b ", " "]
KINDS = [
    "1",
    "'1'",
    "x'31'",
    "1.5",
    "'1.5'",
    "0.1 + 0.2",
    "0.3",
    "'x'",
    "'X'",
    "x'78'",
    "x'00'",
    "x'ff'",
    "'a' || char(0) || 'b'",
    "'a' || char(0) || 'c'",
]
"""Of several kinds, with one text."""
KINDS_OF_NUMBER = ["1", "1.5", "'x'", "x'78'", "x'31'", "12345678901234567890", "9223372036854775807"]
EXTREMES = [-(2**63), -(2**63) + 1, -(2**31), -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 2, 2**63 - 1]
DAYS = [f"2024-{month:02}-{day:02}" for month in (1, 2, 12) for day in range(1, 20)]
STAMPS = [f"2024-02-29 23:59:{second:02}.{second:06}" for second in range(ROWS - 1)]
PAIRS = [(str(i // 7 - 3), f"'x{i % 7}'") for i in range(ROWS)]
TRIPLES = [(str(i // 12), f"'{'abc'[i // 4 % 3]}'", f"'2024-01-0{i % 4 + 1}'") for i in range(60)]
OBJECTS = [
    f'\'{{"kind": "{("old", "new", "12:30")[i % 3]}", "deep": {{"n": {i}}}, "tags": ["t{i % 2}"]}}\''
    for i in range(ROWS)
]
BINARY = {PG: "bytea", MARIA: "binary(16)", LITE: "blob"}
BLOBS = {PG: "'\\x{}'", MARIA: "x'{}'", LITE: "x'{}'"}
CLOCKS = [f"{hour:02}:{minute:02}" for hour in (0, 12, 23) for minute in range(0, 60, 3)]
JSON_OLD = {
    PG: "doc->>'kind' = '12:30' OR (doc #>> '{deep,n}')::int > 40",
    MARIA: "JSON_EXTRACT(doc, '$.kind') = '12:30' OR JSON_VALUE(doc, '$.deep.n') > 40",
    LITE: "doc ->> 'kind' = '12:30' OR json_extract(doc, '$.deep.n') > 40",
}
