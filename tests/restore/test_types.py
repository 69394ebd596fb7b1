"""Every type comes back as it was, on each database and in each format: compared by the database's own text."""

from pathlib import Path

import pytest

import batchops as library
from batchops.archive.formats import SegmentFormat
from tests.conftest import NewDatabase
from tests.databases.shapes.shape import LITE, MARIA, PG
from tests.restore.rows import archive_table, described
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

# A type, and values as SQL.
VALUES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    PG: [
        ("smallint", ("-32768", "32767")),
        ("bigint", ("-9223372036854775808", "9223372036854775807")),
        ("numeric(20,8)", ("0.00000001", "-999999999999.99999999")),
        ("numeric(60,30)", ("0.000000000000000000000000000001", "-1.5")),
        ("numeric", ("'NaN'", "1234567890123456.780", "1e-30")),
        ("real", ("0.1", "'-Infinity'", "1e20", "'NaN'", "1234567")),
        ("double precision", ("0.1", "1e15", "999999999999999", "5e-324", "1.7976931348623157e308", "'-0'")),
        ("boolean", ("true", "false")),
        ("text", ("E'a\\tb\\\\c\\nd\\re'", "''", "'\\N'", "'\\.'", "'ä€😀'")),
        ("character(5)", ("'ab'", "''")),
        ("character varying(10)", ("'  ab  '", "'\"x\",y'")),
        ("bytea", ("'\\x00ff5c0a'", "''")),
        ("date", ("'2024-02-29'", "'0001-01-01'", "'9999-12-31'")),
        ("timestamp", ("'2024-01-31 10:00:00.5'", "'1969-12-31 23:59:59.999999'", "'0001-01-01'")),
        ("timestamptz", ("'2024-03-31 02:30:00+01'", "'2013-06-01 12:00:00.000001-05'")),
        ("timestamp(3)", ("'2024-01-31 10:00:00.123'",)),
        ("time", ("'24:00'", "'00:00:00.000001'")),
        ("timetz", ("'24:00+02'",)),
        ("interval", ("'1 year 1 mon -3 days 00:00:00.5'", "'178000000 years'")),
        ("json", ("'{\"a\": 1e400,\n \"b\": 1.10, \"a\": 2}'",)),
        ("jsonb", ("'{\"a\": 1234567890123456.78}'", "'null'")),
        ("text[]", ("ARRAY['a,b', NULL, '\"', E'\\\\n']", "'{}'")),
        ("int[]", ("'[0:1]={1,2}'", "'{{1,2},{3,4}}'")),
        ("numeric(5,2)[]", ("'{1.10,NULL}'",)),
        ("timestamptz[]", ("ARRAY['2024-03-31 02:30:00+01'::timestamptz]",)),
        ("inet", ("'10.0.0.1/24'", "'::1'")),
        ("cidr", ("'10.0.0.0/8'",)),
        ("macaddr", ("'08:00:2b:01:02:03'",)),
        ("uuid", ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",)),
        ("bit(3)", ("B'101'",)),
        ("bit varying", ("B''", "B'0001'")),
        ("money", ("'12.34'", "'-1000000'")),
        ("xml", ("'<a>1</a>'",)),
        ("tsvector", ("'a:1 b:2'",)),
        ("int4range", ("'[1,5)'", "'empty'")),
        ("tstzrange", ("'[2024-01-01 00:00+01,infinity)'",)),
        ("point", ("'(0.1,1e20)'",)),
        ("mood", ("'so, so'", "'ok'")),
        ("posint", ("7",)),
        ("pair", ("ROW(1,'a,\"b')",)),
        ("\"char\"", ("'x'",)),
    ],
    MARIA: [
        ("tinyint unsigned", ("255",)),
        ("smallint(5) unsigned zerofill", ("7",)),
        ("bigint unsigned", ("18446744073709551615", "0")),
        ("bigint", ("-9223372036854775808",)),
        ("decimal(65,30)", ("1.1", "-99999999999999999999999999999999999.999999999999999999999999999999")),
        ("float", ("0.1", "16777217", "1e-40", "1.1754944e-38")),
        ("double", ("0.1", "1.7976931348623157e308", "-0e0", "1e15")),
        ("bit(9)", ("b'100000001'", "0")),
        ("bit(64)", ("18446744073709551615",)),
        ("date", ("'0000-00-00'", "'2024-02-29'", "'2024-00-01'")),
        ("datetime(6)", ("'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'", "'2024-01-31 10:00:00.5'")),
        ("datetime", ("'1000-01-01 00:00:00'",)),
        ("timestamp(3) NULL", ("'0000-00-00 00:00:00'", "'2024-01-31 10:00:00.5'")),
        ("time", ("'838:59:59'", "'-838:59:59'")),
        ("time(6)", ("'-00:00:00.000001'",)),
        ("year", ("2155", "0")),
        ("char(10)", ("'ab'", "''")),
        ("varchar(20) CHARACTER SET latin1", ("'Ä'", "'a\\tb\\\\c\\nd'")),
        ("text", ("'😀'", "'\\\\N'")),
        ("longblob", ("x'00ff5c0a'", "''")),
        ("binary(4)", ("x'01'",)),
        ("enum('a','b,c')", ("'b,c'",)),
        ("set('a','b')", ("'a,b'", "''")),
        ("json", ("'{\"a\": 1e400}'",)),
        ("inet6", ("'::1'",)),
        ("uuid", ("'123e4567-e89b-12d3-a456-426655440000'",)),
        ("point", ("ST_GeomFromText('POINT(1 2)')",)),
        ("geometry", ("ST_GeomFromText('LINESTRING(0 0,1 1)', 4326)",)),
    ],
    LITE: [
        ("integer", ("-9223372036854775808", "9223372036854775807")),
        ("real", ("9e999", "-9e999", "0.1", "5e-324")),
        ("text", ("'a' || char(0) || 'b'", "''", "'ä€😀'", "char(9, 10, 13, 92)")),
        ("blob", ("x'00ff5c0a'", "x''")),
        ("", ("1", "0.5", "'1'", "x'31'", "'t:x'")),
        ("decimal", ("1", "0.1", "'words'")),
        ("datetime", ("'2024-01-31 10:00:00'", "1706695200")),
        ("boolean", ("0", "1")),
    ],
}  # fmt: skip
TYPES = """
CREATE TYPE mood AS ENUM ('ok', 'so, so');
CREATE DOMAIN posint AS integer CHECK (VALUE > 0);
CREATE TYPE pair AS (n integer, t text);
"""


def made(database: Database, on: str) -> None:
    """A row for each value of the longest list, with NULL where there is none left."""
    if on == PG:
        database.script(TYPES)
    columns = ", ".join(f"c{n} {type}" for n, (type, _) in enumerate(VALUES[on]))
    database.script(f"CREATE TABLE things (id integer PRIMARY KEY, {columns})")
    longest = max(len(values) for _, values in VALUES[on])
    rows = []
    for row in range(longest + 1):
        values = [values[row] if row < len(values) else "NULL" for _, values in VALUES[on]]
        rows.append(f"INSERT INTO things VALUES ({row}, {', '.join(values)});")
    mode = "SET SESSION sql_mode = '';" if on == MARIA else ""
    database.script(mode + "\n".join(rows))


@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("on", VALUES)
def test_every_type_comes_back(new_database: NewDatabase, tmp_path: Path, on: str, format: str) -> None:
    database = new_database(on)
    made(database, on)
    before = archive_table(database, "things", tmp_path, rows=3, format=SegmentFormat(format))
    assert len(before) > 3
    done = library.restore(destination=tmp_path, into="things_new", url=database.url)
    assert (done.reason, done.rows, done.error) == ("done", len(before), None)
    table, lines = described(database, "things_new")
    assert lines == before
    assert [(column.sql_type, column.kind) for column in table.columns] == [
        (column.sql_type, column.kind) for column in described(database, "things")[0].columns
    ]
    database.execute("DELETE FROM things")
    again = library.restore(destination=tmp_path, url=database.url, batch_size=2)
    assert (again.reason, again.rows, again.table) == ("done", len(before), "things")
    assert described(database, "things")[1] == before
