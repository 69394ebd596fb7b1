"""Segments: what is written is read back, in every format; what is damaged is noticed."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from batchops.archive.arrow import SURE, ArrowRows
from batchops.archive.formats import Compression, FormatName, SegmentFormat, format_of_name
from batchops.archive.inexact import InexactRowsError
from batchops.archive.lines import RowsDigest, digest_of
from batchops.archive.segments import read_segment, write_segment
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import InexactValue, block_of, fields_of, float_text, line_maker, line_of
from batchops.db.row_lines import exact_block
from batchops.errors import IntegrityError, RowRefusedError

KINDS = ExactKind
COLUMNS = (
    ExactColumn("id", "bigint", KINDS.INT64, nullable=False),
    ExactColumn("small", "smallint unsigned", KINDS.UINT16),
    ExactColumn("price", "numeric(20,8)", KINDS.DECIMAL, precision=20, scale=8),
    ExactColumn("wide", "decimal(65,30)", KINDS.DECIMAL, precision=65, scale=30),
    ExactColumn("x", "double precision", KINDS.DOUBLE),
    ExactColumn("y", "real", KINDS.FLOAT),
    ExactColumn("yes", "boolean", KINDS.BOOLEAN),
    ExactColumn("day", "date", KINDS.DATE),
    ExactColumn("at", "timestamp", KINDS.TIMESTAMP),
    ExactColumn("since", "timestamptz", KINDS.INSTANT),
    ExactColumn("uuid", "uuid", KINDS.UUID),
    ExactColumn("raw", "bytea", KINDS.BYTES),
    ExactColumn('name "of", it', "text", KINDS.TEXT),
)
ROWS: tuple[Sequence[str | None], ...] = (
    ("1", "65535", "0.00000001", "0." + "0" * 29 + "1", "1e-05", "1.234567e+06", "t", "2024-02-29",
     "2024-01-31 10:00:00.5", "2024-01-31 10:00:00+00", "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "\\x00ff",
     'a\tb\\c\nd\v"e", \r\n'),
    ("2",) + (None,) * 12,
    ("-9223372036854775808", "0", "-1.50000000", "-" + "9" * 35 + "." + "9" * 30, "-0", "NaN", "f", "0001-01-01",
     "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999+00", "00000000-0000-0000-0000-000000000000", "\\x", ""),
    ("3", "7", "12.00000000", "1." + "0" * 30, "-Infinity", "1e+20", "f", "1970-01-01", "1970-01-01 00:00:00",
     "1970-01-01 00:00:00+00", "ffffffff-ffff-ffff-ffff-ffffffffffff", "\\xdeadbeef", "\\N"),
    ("4", "1", "0.00000000", "0." + "0" * 30, "1e+15", "100000", "t", "2038-01-19", "2038-01-19 03:14:08",
     "2038-01-19 03:14:08+00", "10000000-0000-4000-8000-000000000001", "\\x5c4e", "\\ leading, and trailing "),
)  # fmt: skip
LINES = [line_of([None if value is None else value.encode() for value in row]) for row in ROWS]
FORMATS: tuple[tuple[FormatName, Compression], ...] = (
    ("parquet", "zstd"), ("jsonl", "zstd"), ("jsonl", "gzip"), ("csv", "zstd"), ("csv", "gzip"),
)  # fmt: skip
EACH_FORMAT = pytest.mark.parametrize("format", [SegmentFormat(*one) for one in FORMATS], ids=lambda f: f.ending)


def lines_in(path: Path, format: SegmentFormat, columns: Sequence[ExactColumn] = COLUMNS) -> list[bytes]:
    with path.open("rb") as file:
        return [line for block in read_segment(file, columns, format) for line in block]


@EACH_FORMAT
def test_what_is_written_is_read_back(tmp_path: Path, format: SegmentFormat) -> None:
    path = tmp_path / f"000001.{format.ending}"
    record = write_segment(iter(LINES), COLUMNS, format, path, key=("id",))
    assert lines_in(path, format) == LINES
    assert record.rows == len(LINES)
    assert record.digest == record.read_back == str(digest_of(reversed(LINES)))
    assert (record.first_key, record.last_key) == (("1",), ("4",))
    assert record.bytes == path.stat().st_size
    assert format_of_name(path.name) == format
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    with pytest.raises(FileExistsError):
        write_segment(LINES, COLUMNS, format, path)


def test_the_key_of_a_row_may_be_an_empty_text(tmp_path: Path) -> None:
    name = ExactColumn("name", "text", ExactKind.TEXT)
    record = write_segment([b""], (name,), SegmentFormat("jsonl", "gzip"), tmp_path / "1", key=("name",))
    assert (record.first_key, record.last_key) == (("",), ("",))


@EACH_FORMAT
@pytest.mark.parametrize("columns", [1, 2])
def test_rows_of_few_columns(tmp_path: Path, format: SegmentFormat, columns: int) -> None:
    """A line may be empty, and a record too."""
    named = [ExactColumn(f"c{number}", "text", KINDS.TEXT) for number in range(columns)]
    lines = [line_of([value] * columns) for value in (b"", None, b"\\N", b"", b'"', b"\n", b"\\", None)]
    path = tmp_path / "few"
    assert write_segment(lines, named, format, path).rows == len(lines)
    assert lines_in(path, format, named) == lines


@EACH_FORMAT
def test_any_text_comes_back(tmp_path: Path, format: SegmentFormat) -> None:
    """Blocks with a character that is written in another way, and blocks without one, take different ways."""
    drawn, kinds = random.Random(11), (COLUMNS[0], COLUMNS[6], COLUMNS[-1], COLUMNS[-1])
    columns = [replace(column, name=f"%s {place}", nullable=True) for place, column in enumerate(kinds)]
    for number, alphabet in enumerate(
        ("ab", 'a"', "a,", "a ", "a\\", "a\n", "a\tvu\\", "a\v", "ä\x00\x1f", '",\\\n\r nulltrue[{')
    ):
        lines = [
            line_of([
                None if drawn.random() < number % 3 / 9
                else (str(drawn.randrange(-9, 9)) if column.kind is KINDS.INT64 else drawn.choice("tf")
                      if column.kind is KINDS.BOOLEAN else "".join(drawn.choices(alphabet, k=drawn.randrange(4)))
                ).encode() for column in columns
            ]) for _ in range(200)
        ]  # fmt: skip
        path = tmp_path / str(number)
        write_segment(lines, columns, format, path)
        assert lines_in(path, format, columns) == lines


@EACH_FORMAT
def test_an_empty_segment(tmp_path: Path, format: SegmentFormat) -> None:
    assert write_segment([], COLUMNS, format, tmp_path / "none").rows == 0
    assert lines_in(tmp_path / "none", format) == []


@EACH_FORMAT
def test_damage_is_an_error_or_other_rows(tmp_path: Path, format: SegmentFormat) -> None:
    """Cut anywhere, or with a byte changed anywhere, a file never gives back the same rows."""
    path, lines = tmp_path / "whole", LINES * 40
    write_segment(lines, COLUMNS, format, path)
    whole, same = path.read_bytes(), str(digest_of(lines))
    drawn = random.Random(7)
    for cut in [drawn.randrange(len(whole)) for _ in range(12)]:
        assert digest_in(tmp_path, whole[:cut], format) != same
    unnoticed = 0
    for place in [drawn.randrange(len(whole)) for _ in range(40)]:
        changed = whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :]
        unnoticed += digest_in(tmp_path, changed, format) == same
    assert unnoticed <= 20  # statistics and names of a writer are no rows: the file's own SHA-256 sees those


def digest_in(folder: Path, content: bytes, format: SegmentFormat) -> str:
    damaged = folder / "damaged"
    damaged.write_bytes(content)
    try:
        return str(digest_of(lines_in(damaged, format)))
    except IntegrityError as error:
        return error.message


def test_values_that_parquet_cannot_hold_are_named() -> None:
    texts = (
        "007", "65536", "NaN", "1.5", "1e5", "0.10", "true", "infinity", "0044-03-15 00:00:00 BC", "infinity",
        "0A1B2C3D-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "\\xFF", "fine",
    )  # fmt: skip
    bad = line_of([text.encode() for text in texts])
    rows = ArrowRows(COLUMNS)
    found = rows.inexact(block_of([*LINES, bad]))
    assert {row.place for row in found} == {len(LINES)}
    assert [row.column for row in found] == [column.name for column in COLUMNS if column.kind not in SURE]
    with pytest.raises(InexactRowsError) as raised:
        rows.batch(block_of([*LINES, bad]))
    assert raised.value.rows[0].column == "small"
    assert "jsonl" not in raised.value.hint  # no format holds some values, such as text that is not UTF-8


@EACH_FORMAT
def test_what_is_no_utf8_is_named(format: SegmentFormat) -> None:
    (found,) = format.of(COLUMNS).inexact(block_of([*LINES, line_of([b"1", *[None] * 11, b"caf\xe9"])]))
    assert (found.place, found.column) == (len(LINES), COLUMNS[-1].name)


def test_doubles_are_spelled_as_postgresql_does() -> None:
    drawn = random.Random(3)
    values = [drawn.uniform(-10, 10) * 10.0 ** drawn.randint(-320, 300) for _ in range(5000)]
    texts = [float_text(value) for value in (*values, 1e15, 999999999999999.0, 1e-4, 9.9e-5, 5e-324, 100.0)]
    assert texts[-6:] == ["1e+15", "999999999999999", "0.0001", "9.9e-05", "5e-324", "100"]
    rows = ArrowRows([ExactColumn("x", "double precision", KINDS.DOUBLE)])
    block = block_of([text.encode() for text in texts])
    assert rows.block(rows.batch(block)) == block


def test_a_digest_counts_rows_and_not_their_order() -> None:
    once, twice = RowsDigest(), RowsDigest()
    once.add([b"a", b"b"])
    twice.add([b"b", b"a", b"a"])
    assert str(once) != str(twice)
    once.merge(digest_of([b"a"]))
    assert once == twice
    assert RowsDigest(str(once), once.rows) == twice
    other = RowsDigest()
    other.add([b"a", b"a\tb"])
    assert str(other) != str(digest_of([b"a", b"a", b"b"]))


def test_duckdb_reads_the_same_sums(tmp_path: Path) -> None:
    for name, compression in FORMATS:
        format = SegmentFormat(name, compression)
        path = tmp_path / f"sums.{format.ending}"
        write_segment(LINES, COLUMNS, format, path)
        read = {"parquet": "read_parquet(?)", "jsonl": "read_json(?)", "csv": "read_csv(?, quote='\"', escape='\"')"}
        found = duckdb.sql(f"SELECT sum(id), count(*), sum(price::decimal(20,8)) FROM {read[name]}", params=[str(path)])
        assert [str(value) for value in found.fetchall()[0]] == ["-9223372036854775798", "5", "10.50000001"]
    typed = duckdb.sql("SELECT since, uuid, raw FROM read_parquet(?)", params=[str(tmp_path / "sums.parquet")])
    assert [str(type) for type in typed.types] == ["TIMESTAMP WITH TIME ZONE", "UUID", "BLOB"]


def test_fields_are_read_as_they_were_written() -> None:
    every = [bytes([code]) for code in range(256)]
    assert fields_of(line_of([*every, None, b"", b"\\N", bytes(range(256))])) == [
        *every, None, b"", b"\\N", bytes(range(256)),
    ]  # fmt: skip


def test_a_minus_before_zeros_is_not_exact() -> None:
    rows = ArrowRows([ExactColumn("x", "decimal(6,2)", KINDS.DECIMAL, precision=6, scale=2)])
    exact = [b"0.00", b"-0.01", b"-10.00", b"9999.99", b"-9999.99", b"\\N"]
    assert [one.place for one in rows.inexact(block_of([*exact, b"-0.00"]))] == [len(exact)]
    assert rows.block(rows.batch(block_of(exact))) == block_of(exact)


def test_rows_are_spelled_at_once_as_one_by_one() -> None:
    texts = ("", "a", "é\x00", "a\tb", "\\N", "\\", "\n", "\v\b\f\r", None, "\ud800")
    values: dict[ExactKind, Sequence[object]] = {
        KINDS.INT64: (1, -5, 2**63, None, True, Decimal(7), Decimal("7.5"), "7"),
        KINDS.DECIMAL: (Decimal("1E+3"), Decimal("0.10"), Decimal("-0.0000001"), None, 1.5),
        KINDS.DOUBLE: (1.5, 1e300, float("nan"), float("-inf"), None, 3), KINDS.BYTES: (b"", b"\x00\xff", None, "x"),
        KINDS.BOOLEAN: (0, 1, None, 2), KINDS.TAGGED: (1, 1.5, "a\tb", b"\\", None),
        KINDS.TIMESTAMP: ("2024-01-31 10:00:00", datetime(2024, 1, 31, 10), None), KINDS.TEXT: texts,
    }  # fmt: skip
    for kind, given in values.items():
        column = ExactColumn("x", "any", kind)
        one = line_maker([column, column])
        for rows in ([(value, value)] for value in given), [[(value, value) for value in given]]:
            for some in rows:
                try:
                    expected = block_of([one(row) for row in some])
                except InexactValue:
                    with pytest.raises(RowRefusedError):
                        exact_block([column, column], some)
                else:
                    assert exact_block([column, column], some) == expected
    assert exact_block(COLUMNS, []) == b""
