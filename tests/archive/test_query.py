"""SQL over archives without a database: types, names, runs, what is left out, and what a query may not do."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import batchops as library
from batchops.archive.deleted import DeletedRows
from batchops.archive.destination import FolderDestination
from batchops.archive.formats import SegmentFormat
from batchops.archive.layout import deleted_name, record_name, segment_name
from batchops.archive.lines import digest_of
from batchops.archive.manifest import Manifest, TableSegments, append_manifest, listed_of
from batchops.archive.ownership import claim
from batchops.archive.records import ArchivedTable, Sidecar
from batchops.archive.segments import write_segment
from batchops.archive.spool import SpoolWriter
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import block_of, line_of
from batchops.errors import IntegrityError, NotFoundError, UsageError
from tests.archive.made import OWNER, archived, sealed
from tests.command import Batchops, Result, hear_interrupts
from tests.waiting import ended, until

FORMATS = [SegmentFormat(), *(SegmentFormat(name, way) for name in ("jsonl", "csv") for way in ("zstd", "gzip"))]
TABLE = ArchivedTable(
    "shop.orders",
    (
        ExactColumn("id", "bigint", ExactKind.INT64, nullable=False),
        ExactColumn("code", "text", ExactKind.TEXT),
        ExactColumn("price", "numeric(10,2)", ExactKind.DECIMAL, precision=10, scale=2),
    ),
    ("id",),
    "postgresql",
)
LINES = [b"1\t007\t0.10", b"2\t\t0.20", b"3\t\\N\t\\N", b'4\t"a", b\\nc\\\\N\t-0.30']
SHOP = "SELECT count(*), sum(price) FROM shop.orders"
KINDS: Sequence[tuple[ExactColumn, str, Sequence[str]]] = (
    (ExactColumn("v", "tinyint", ExactKind.INT8), "TINYINT", ("-128", "127")),
    (ExactColumn("v", "bigint", ExactKind.INT64), "BIGINT", ("-9223372036854775808", "9223372036854775807")),
    (ExactColumn("v", "bigint unsigned", ExactKind.UINT64), "UBIGINT", ("0", "18446744073709551615")),
    (
        ExactColumn("v", "numeric(38,10)", ExactKind.DECIMAL, precision=38, scale=10),
        "DECIMAL(38,10)", ("0.1000000000", "-1234567890123456789012345678.0123456789"),
    ),
    (
        ExactColumn("v", "numeric(60,5)", ExactKind.DECIMAL, precision=60, scale=5),
        "VARCHAR", ("1.00000", "1234567890123456789012345678901234567890123456789012345.12345"),
    ),
    (ExactColumn("v", "real", ExactKind.FLOAT), "FLOAT", ("0.1", "-1.5")),
    (ExactColumn("v", "float8", ExactKind.DOUBLE), "DOUBLE", ("0.1", "1e+300", "0.30000000000000004")),
    (ExactColumn("v", "boolean", ExactKind.BOOLEAN), "BOOLEAN", ("t", "f")),
    (ExactColumn("v", "date", ExactKind.DATE), "DATE", ("0001-01-01", "9999-12-31")),
    (
        ExactColumn("v", "timestamp", ExactKind.TIMESTAMP),
        "TIMESTAMP", ("2024-01-31 10:00:00.5", "1900-01-01 00:00:00"),
    ),
    (
        ExactColumn("v", "timestamptz", ExactKind.INSTANT),
        "TIMESTAMP WITH TIME ZONE", ("2024-01-31 10:00:00.123456+00", "1969-12-31 23:59:59+00"),
    ),
    (ExactColumn("v", "uuid", ExactKind.UUID), "UUID", ("95b84667-8f09-4d2c-83bf-6427413413aa",)),
    (ExactColumn("v", "bytea", ExactKind.BYTES), "BLOB", ("\\x", "\\x00ff5c6e")),
    (
        ExactColumn("v", "text", ExactKind.TEXT),
        "VARCHAR", ("", "007", "NULL", "null", " a ", "\\N", "ä\t\n\"'", "1e5", "t", "\\x00"),
    ),
)  # fmt: skip
"""Columns with their types in a query, and exact texts of values."""


def asked(root: Path | str, sql: str, run: int | None = None) -> list[tuple[Any, ...]]:
    with library.archive_query(root, sql, run=run) as result:
        return [*result.rows]


def notes(root: Path | str, sql: str, run: int | None = None) -> tuple[str, ...]:
    with library.archive_query(root, sql, run=run) as result:
        return result.notes


@pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.ending)
def test_each_value_is_what_was_archived(format: SegmentFormat, tmp_path: Path) -> None:
    columns = [replace(column, name=f"v{place}") for place, (column, _, _) in enumerate(KINDS)]
    number = ExactColumn("id", "int", ExactKind.INT32)
    table = ArchivedTable("t", (number, *columns), ("id",), "postgresql")
    rows = [*zip_longest(*(values for _, _, values in KINDS))]
    lines = [
        line_of([b"%d" % n, *(None if one is None else one.encode() for one in row)]) for n, row in enumerate(rows)
    ]
    archived(tmp_path, table, lines, rows=3, format=format)
    with library.archive_query(tmp_path, "SELECT * EXCLUDE (id) FROM t ORDER BY id") as result:
        assert [one.type for one in result.columns] == [type for _, type, _ in KINDS]
        found = [*result.texts]
    words = {"true": "t", "false": "f"}
    assert [tuple(words.get(one or "", one) for one in row) for row in found] == rows


@pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.ending)
def test_the_rows_of_a_table(format: SegmentFormat, tmp_path: Path) -> None:
    archived(tmp_path, TABLE, LINES, rows=2, format=format)
    assert asked(tmp_path, SHOP) == [(4, "0.00")]
    assert asked(tmp_path, "SELECT id, code, price FROM Shop.Orders ORDER BY id DESC") == [
        (4, '"a", b\nc\\N', "-0.30"), (3, None, None), (2, "", "0.20"), (1, "007", "0.10"),
    ]  # fmt: skip
    assert asked(tmp_path, "SELECT id FROM shop.orders JOIN shop.orders o USING (id) WHERE o.code = ''; -- all") == [
        (2,)
    ]


@pytest.mark.parametrize("format", FORMATS[:2], ids=lambda one: one.ending)
def test_columns_come_and_go(format: SegmentFormat, tmp_path: Path) -> None:
    """Two runs are one view: with the columns of both, in types that hold both."""
    id, code, price = TABLE.columns
    later = replace(
        TABLE,
        columns=(
            replace(id, kind=ExactKind.UINT64), ExactColumn("new", "date", ExactKind.DATE),
            replace(price, precision=20, scale=4), replace(code, sql_type="integer", kind=ExactKind.INT32),
        ),
    )  # fmt: skip
    archived(tmp_path, TABLE, LINES, format=format)
    archived(tmp_path, later, [b"5\t2024-01-31\t0.0001\t7"], run=2, format=FORMATS[1])
    with library.archive_query(tmp_path, "SELECT * FROM shop.orders ORDER BY id") as result:
        types = [(one.name, one.type) for one in result.columns]
        rows = [*result.rows]
        assert result.notes == ("shop.orders.code is text in this query: it was integer in run 2 and text in run 1",)
    assert types == [("id", "HUGEINT"), ("new", "DATE"), ("price", "DECIMAL(20,4)"), ("code", "VARCHAR")]
    assert [rows[0], rows[-1]] == [(1, None, "0.1000", "007"), (5, "2024-01-31", "0.0001", "7")]
    assert [asked(tmp_path, SHOP, run) for run in (1, 2)] == [[(4, "0.00")], [(1, "0.0001")]]
    assert asked(tmp_path, "DESCRIBE shop.orders", run=1)[0][:2] == ("id", "BIGINT")


def test_a_value_that_no_type_holds(tmp_path: Path) -> None:
    column = ExactColumn("until", "timestamptz", ExactKind.INSTANT)
    table = ArchivedTable("t", (ExactColumn("id", "int", ExactKind.INT32), column), ("id",), "postgresql")
    archived(tmp_path, table, [b"1\t2024-01-31 10:00:00+00"])
    archived(tmp_path, table, [b"2\tinfinity", b"3\t2024-01-31 10:00:00.5+00"], run=2, format=FORMATS[1])
    assert asked(tmp_path, "SELECT until FROM t ORDER BY id") == [
        ("2024-01-31 10:00:00+00",), ("infinity",), ("2024-01-31 10:00:00.5+00",),
    ]  # fmt: skip
    assert notes(tmp_path, "FROM t") == ("t.until is text in this query: it has a value that its type cannot hold",)


@pytest.mark.parametrize("format", FORMATS[:3:2], ids=lambda one: one.ending)
def test_the_mixed_columns_of_sqlite(format: SegmentFormat, tmp_path: Path) -> None:
    mixed = ExactColumn("price", "DECIMAL(5,2)", ExactKind.TAGGED)
    table = ArchivedTable("a.b", (ExactColumn("id", "int", ExactKind.INT64), mixed), ("id",), "sqlite")
    plain = replace(table, columns=(table.columns[0], replace(mixed, kind=ExactKind.INT64)))
    archived(
        tmp_path, table, [b"1\ti:5", b"2\tr:0.5", b"3\tt:007", b"4\tb:\\\\x00ff", b"5\t\\N", b"6\tt:"], format=format
    )
    archived(tmp_path, plain, [b"7\t9", b"8\t\\N"], run=2, format=format)
    found = asked(tmp_path, 'SELECT union_tag(price), price.real, price.text, price IS NULL FROM "a.b" ORDER BY id')
    assert found[:4] == [
        ("integer", None, None, False), ("real", 0.5, None, False), ("text", None, "007", False),
        ("blob", None, None, False),
    ]  # fmt: skip
    assert found[4:] == [
        (None, None, None, True), ("text", None, "", False), ("integer", None, None, False), (None, None, None, True),
    ]  # fmt: skip
    assert asked(tmp_path, 'SELECT sum(coalesce(price.real, price.integer)) FROM "a.b"') == [(14.5,)]


@pytest.mark.parametrize(("lines", "sql", "answer"), [
    ([b"1\ti:11", b"2\tr:0.5", b"3\t\\N"], "SELECT sum(price), count(price), typeof(any_value(price)) FROM t",
     (11.5, 2, "DOUBLE")),
    ([b"1\ti:5", b"2\ti:-9223372036854775808"], "SELECT min(price), typeof(any_value(price)) FROM t",
     (-9223372036854775808, "BIGINT")),
    ([b"1\tt:007", b"2\tt:"], "SELECT max(price), typeof(any_value(price)) FROM t", ("007", "VARCHAR")),
    ([b"1\t\\N"], "SELECT count(*), count(price) FROM t", (1, 0)),
    ([b"1\ti:9007199254740993", b"2\tr:0.5"], "SELECT max(price.integer), max(price.real) FROM t",
     (9007199254740993, 0.5)),
])  # fmt: skip
def test_a_mixed_column_of_one_kind_has_its_type(
    lines: list[bytes], sql: str, answer: tuple[object, ...], tmp_path: Path
) -> None:
    mixed = ExactColumn("price", "DECIMAL(5,2)", ExactKind.TAGGED)
    table = ArchivedTable("t", (ExactColumn("id", "int", ExactKind.INT64), mixed), ("id",), "sqlite")
    archived(tmp_path, table, lines)
    assert asked(tmp_path, sql) == [answer]
    assert len(notes(tmp_path, "FROM t")) == int("price.integer" in sql)


def test_names(tmp_path: Path) -> None:
    id = ExactColumn("id", "int", ExactKind.INT32)
    odd = ArchivedTable("a \"b\" [*?] 'c'", (id, ExactColumn('x "y" %', "text", ExactKind.TEXT)), ("id",), "postgresql")
    same = ArchivedTable("Events", (id, replace(id, name="ID"), replace(id, name="Id")), ("id",), "postgresql")
    place = tmp_path / "year=2024 [a]*"
    for run, (table, line) in enumerate(
        {odd: b"1\tx", same: b"1\t2\t3", replace(same, label="events"): b"4\t5\t6"}.items(), 1
    ):
        archived(place, table, [line], run=run)
    assert asked(place, 'SELECT "x ""y"" %" FROM "a ""b"" [*?] \'c\'"') == [("x",)]
    assert asked(place, "SELECT id, id_1, id_2 FROM events") == [(1, 2, 3)]
    assert asked(place, "FROM events_1") == [(4, 5, 6)]
    assert notes(place, "FROM events_1")[0].startswith("events is events_1 in this query: names in DuckDB must differ")
    assert asked(place, "SHOW TABLES") == [("Events",), ("a \"b\" [*?] 'c'",), ("events_1",)]


def test_only_the_files_of_named_tables_are_read(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES)
    archived(tmp_path, replace(TABLE, label="other"), LINES, run=2)
    path = tmp_path / "shop.orders/run-000001/000001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert asked(tmp_path, "SELECT count(*) FROM other") == [(4,)]
    done = batchops("archive", "query", tmp_path, SHOP)
    assert (done.code, done.out) == (13, "")
    assert "shop.orders/run-000001/000001.parquet is not the file that was archived" in done.err
    path.unlink()
    with pytest.raises(IntegrityError, match=r"000001.parquet is missing, with 4 archived rows"):
        asked(tmp_path, SHOP)
    with pytest.raises(UsageError, match=r"shop\.orders was not read, as the query does not name it"):
        asked(tmp_path, "SELECT count(*) FROM query_table('shop.ord' || 'ers')")
    (tmp_path / "manifests/00000001.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"00000001.json is unreadable"):
        asked(tmp_path, "SELECT count(*) FROM other")


def test_what_is_left_out_is_said(tmp_path: Path, batchops: Batchops) -> None:
    destination = archived(tmp_path, TABLE, LINES)
    claim(destination, OWNER)
    (tmp_path / "spools").mkdir()
    header = TABLE.document() | {"format": {"name": "parquet", "compression": "zstd"}}
    spool = SpoolWriter(tmp_path / "spools/3-1-abc-1.spool", header)
    spool.append(1, block_of(LINES), digest_of(LINES))
    spool.close()
    done = batchops("archive", "query", tmp_path, SHOP)
    assert (done.code, done.out.splitlines()[1]) == (0, "4,0.00")
    assert "note: up to 4 rows of run 3 are not sealed yet, and left out" in done.err
    assert batchops("archive", "query", tmp_path, SHOP, "--run", "1").err == ""
    nothing = batchops("archive", "query", tmp_path, SHOP, "--run", "3")
    assert (nothing.code, "up to 4 rows of run 3 are not sealed yet" in nothing.err) == (10, True)


def test_rows_that_stayed_in_their_table_are_no_archived_ones(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path)
    claim(destination, OWNER)
    kept = DeletedRows(2, str(digest_of(LINES[:2])), ((2, 4),))
    segments = sealed(destination, TABLE, 1, LINES)
    destination.create(deleted_name(segments[0][0]), kept.dumped(segments[0][0]))
    listed = tuple(replace(one, deleted=kept) for one in listed_of(segments))
    append_manifest(destination, Manifest(1, (TableSegments(TABLE, listed),), {}))
    assert asked(tmp_path, "SELECT id FROM shop.orders") == [(1,), (2,)]


REFUSED = (
    "INSERT INTO shop.orders VALUES (1, 'a', 1)", "DELETE FROM shop.orders", "CREATE TABLE x (a int)",
    "ATTACH '{0}/x.db'", "ATTACH ':memory:' AS m", "COPY (SELECT 1) TO '{0}/x.csv'", "COPY shop.orders TO '{0}/x.csv'",
    "EXPORT DATABASE '{0}/x'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA database_list", "CALL pragma_version()", "",
    "SELECT 1; SELECT 2", "EXPLAIN ANALYZE SELECT 1", "DROP VIEW shop.orders", "CHECKPOINT", "USE shop",
    "SET threads = 1", "SELECT * FROM read_parquet('{0}/other.parquet')",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('{0}/secret')",
    "SELECT * FROM read_blob('{0}/*')", "SELECT * FROM glob('{0}/*')",
    "SELECT * FROM read_parquet('s3://bucket/x')", "SELECT * FROM sqlite_scan('{0}/x.db', 't')", "SELECT * FROM LINES",
    "WITH gone AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM gone", "SELECT getenv('HOME')",
    "SELECT 1) TO '{0}/x.csv' --", "SELECT * FROM duckdb_secrets()", "SELECT nothing FROM shop.orders", "SELECT",
    "SELECT * FROM nowhere", "SELECT CAST(code AS integer) FROM shop.orders", "CREATE SECRET s (TYPE s3)",
)  # fmt: skip


def test_a_query_reads_the_archive_and_nothing_else(tmp_path: Path, batchops: Batchops) -> None:
    root, outside = tmp_path / "archive", tmp_path / "outside"
    archived(root, TABLE, LINES)
    outside.mkdir()
    (outside / "secret").write_text("s3cr3t")
    (outside / "other.parquet").write_bytes((root / "shop.orders/run-000001/000001.parquet").read_bytes())
    before = files_in(tmp_path)
    for sql in REFUSED:
        done = batchops("archive", "query", root, sql.replace("{0}", str(outside)))
        assert (sql, done.code, done.out.partition("\n")[2], "s3cr3t" in done.out) == (sql, 2, "", False), done
        assert len(done.err.splitlines()) in (1, 2), done.err
    assert files_in(tmp_path) == before


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_results(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES, format=FORMATS[-1])
    ordered = "SELECT * FROM shop.orders ORDER BY id"

    def ask(*words: str, sql: str = ordered) -> Result:
        return batchops("archive", "query", tmp_path, sql, *words)

    assert ask().out == 'id,code,price\n1,007,0.10\n2,"",0.20\n3,,\n4,"""a"", b\nc\\N",-0.30\n'
    document = ask("--json").json()
    assert document == ask("--format", "json").json()
    assert document["columns"][2] == {"name": "price", "type": "DECIMAL(10,2)"}
    assert document["rows"] == [[1, "007", "0.10"], [2, "", "0.20"], [3, None, None], [4, '"a", b\nc\\N', "-0.30"]]
    numbers = ask(
        "--json", sql="SELECT 'nan'::double, 0.1::double, true, 170141183460469231731687303715884105727, [1, 2]"
    )
    assert numbers.json()["rows"] == [["nan", 0.1, True, 170141183460469231731687303715884105727, "[1, 2]"]]
    assert numbers.json()["columns"][3]["type"] == "HUGEINT"
    table = ask("--format", "table")
    assert [line.split() for line in table.out.splitlines()[3:6]] == [
        ["1", "007", "0.10"],
        ["2", "0.20"],
        ["3", "NULL", "NULL"],
    ]
    assert "c\\\\N" not in table.out
    many = ask("--format", "table", sql="SELECT range FROM range(1205)")
    assert (many.code, many.err) == (0, "205 more rows: --format csv or --json prints all.\n")
    late = "SELECT CASE WHEN range < 50000 THEN 1 ELSE CAST('x' || range AS integer) END FROM range(60000)"
    for words in (("--json",), ("--format", "json")):
        failed = ask(*words, sql=late)
        assert (failed.code, failed.json()["error"]["code"]) == (2, "usage")
    assert (ask(sql=late).code, ask("--json", sql="SELECT").json()["exit"]) == (2, 2)
    assert (ask("--format", "parquet").code, ask("--run", "0").code) == (2, 2)
    twice = ask("--json", sql="SELECT id, id FROM shop.orders WHERE id = 1").json()
    assert ([one["name"] for one in twice["columns"]], twice["rows"]) == (["id", "id"], [[1, 1]])


def test_its_temporary_files_are_removed(tmp_path: Path) -> None:
    archived(tmp_path / "archive", TABLE, LINES, format=FORMATS[1])
    (tmp_path / "tmp").mkdir()
    with patch("tempfile.tempdir", str(tmp_path / "tmp")):
        with library.archive_query(tmp_path / "archive", "FROM shop.orders") as result:
            assert next(result.rows)[0] == 1
            assert len([*(tmp_path / "tmp").rglob("*.parquet")]) == 1
        assert [*(tmp_path / "tmp").iterdir()] == []
        with pytest.raises(UsageError):
            asked(tmp_path / "archive", "SELECT nothing FROM shop.orders")
        assert [*(tmp_path / "tmp").iterdir()] == []
    assert not (tmp_path / "archive/staging").exists() or [*(tmp_path / "archive/staging").iterdir()] == []


def test_what_is_not_there(tmp_path: Path, batchops: Batchops) -> None:
    assert batchops("archive", "query", tmp_path / "nowhere", "SELECT 1").code == 10
    archived(tmp_path, TABLE, LINES)
    with pytest.raises(NotFoundError, match="Run 7 has archived nothing"):
        asked(tmp_path, SHOP, run=7)
    with patch.dict(sys.modules, {"duckdb": None}):
        done = batchops("archive", "query", tmp_path, SHOP)
    assert (done.code, done.err.splitlines()[0]) == (2, "error: A query needs duckdb, which is not installed.")
    assert "pip install 'batchops[query]'" in done.err


ENDLESS = "SELECT count(*) FROM range(100000000000), range(1000000), shop.orders"


def test_it_can_be_interrupted(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path / "archive", TABLE, LINES)
    folder = tmp_path / "tmp"
    folder.mkdir()
    words = ("archive", "query", tmp_path / "archive", ENDLESS)
    process = batchops.start(*words, env={"TMPDIR": str(folder)}, preexec_fn=hear_interrupts)
    until(lambda: [*folder.rglob("1.parquet")])
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out, err.strip()) == (130, "", "error: Interrupted."), err
    assert [*folder.iterdir()] == []


def test_its_reader_may_go_away(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES)
    process = batchops.start("archive", "query", tmp_path, "SELECT range FROM range(10000000)")
    assert process.stdout is not None
    assert process.stdout.readline() == "range\n"
    process.stdout.close()
    assert (process.wait(), process.stderr and process.stderr.read()) == (0, "")


def test_undecided_rows_are_left_out(tmp_path: Path) -> None:
    """Of a segment whose run crashed before it recorded what it had deleted."""
    destination = archived(tmp_path, TABLE, LINES)
    name = segment_name(TABLE.label, 2, 1, FORMATS[0])
    record = write_segment([b"9\tx\t1.00"], TABLE.columns, FORMATS[0], destination.staging() / "x", TABLE.key)
    destination.publish(destination.staging() / "x", name)
    destination.create(record_name(name), Sidecar(name, 2, TABLE, record, deleted_by=deleted_name(name)).dumped())
    assert asked(tmp_path, SHOP) == [(4, "0.00")]
    assert f"1 rows in {name} are left out" in notes(tmp_path, SHOP)[0]
    assert asked(tmp_path, SHOP, run=2) == [(0, None)]
