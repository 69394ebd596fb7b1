"""What a handler gets is valid JSON and exactly what the column holds, or the server's own text of it."""

import base64
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.events import Event, Rejected
from tests.conftest import NewDatabase
from tests.databases.shapes.shape import LITE, MARIA, PG
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

KEEP = "import shutil, sys; shutil.copyfileobj(sys.stdin, open(sys.argv[1], 'a'))"
# A type, a value as SQL, and what JSON says of it; True: the server's own text.
VALUES: dict[str, list[tuple[str, str, Any]]] = {
    PG: [
        ("double precision", "'NaN'", "NaN"),
        ("real", "'-Infinity'", "-Infinity"),
        ("real", "0.1", 0.1),
        ("numeric", "'NaN'", "NaN"),
        ("numeric", "1234567890123456.780", "1234567890123456.780"),
        ("numeric[]", "'{1.10,NULL}'", ["1.10", None]),
        ("bytea", "'\\xff00'", "/wA="),
        ("date", "'infinity'", "infinity"),
        ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
        ("date", "'10000-01-01'", "10000-01-01"),
        ("date[]", "'{-infinity,2024-02-29}'", ["-infinity", "2024-02-29"]),
        ("daterange", "'[2024-02-29,infinity)'", "[2024-02-29, infinity)"),
        ("timestamp", "'-infinity'", "-infinity"),
        ("timestamp", "'294276-12-31 23:59:59.999999'", "294276-12-31 23:59:59.999999"),
        ("timestamptz", "'infinity'", "infinity"),
        ("timestamptz", "'4713-01-01 00:00+00 BC'", True),
        ("time", "'24:00'", "24:00:00"),
        ("timetz", "'24:00+02'", "24:00:00+02"),
        ("interval", "'1 year 1 mon'", "1 year 1 mon"),
        ("interval", "'-838:59:59.5'", "-838:59:59.500000"),
        ("interval", "'178000000 years'", "178000000 years"),
        ("json", """'{"a": 1e400,\n "b": 1.10, "a": 2}'""", '{"a": 1e400,  "b": 1.10, "a": 2}'),
        ("jsonb", "'{\"a\": 1234567890123456.78}'", '{"a": 1234567890123456.78}'),
        ("jsonb[]", "ARRAY['{\"a\": 0.10}'::jsonb]", '[{"a": 0.10}]'),
        ("own_document", "'[12345678901234567890.5]'", "[12345678901234567890.5]"),
        ("inet", "'10.0.0.1/24'", "10.0.0.1/24"),
        ("bit(3)", "B'101'", "101"),
        ("money", "'12.34'", True),
        ("xml", "'<a>1</a>'", "<a>1</a>"),
        ("tsvector", "'a:1'", True),
    ],
    MARIA: [
        ("binary(16)", "unhex(md5('a'))", "DMF1ucDxtqgxw5niaXcmYQ=="),
        ("date", "'0000-00-00'", "0000-00-00"),
        ("datetime(3)", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00.000"),
        ("timestamp NULL", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
        ("time", "'838:59:59'", "838:59:59"),
        ("time(6)", "'-00:00:00.000001'", "-00:00:00.000001"),
        ("bit(9)", "b'100000001'", "AQE="),
        ("year", "2155", 2155),
        ("decimal(65,30)", "1.1", "1.100000000000000000000000000000"),
        ("double", "1.7976931348623157e308", 1.7976931348623157e308),
        ("bigint unsigned", "18446744073709551615", 18446744073709551615),
        ("json", "'{\"a\": 1e400}'", '{"a": 1e400}'),
        ("inet6", "'::1'", "::1"),
        ("set('a','b')", "'a,b'", "a,b"),
    ],
    LITE: [
        ("real", "9e999", "Infinity"),
        ("", "x'ff00'", "/wA="),
        ("", "9223372036854775807", 9223372036854775807),
        ("text", "'a' || char(0) || 'b'", "a\0b"),
        ("decimal", "0.1", 0.1),
        ("date", "'0000-00-00'", "0000-00-00"),
    ],
}
DOCUMENTS = ("json", "jsonb", "jsonb[]", "own_document")


def made(database: Database, on: str) -> None:
    """A row with a column for each value."""
    if on == PG:
        database.execute("CREATE DOMAIN own_document AS jsonb")
    if on == MARIA:
        database.script("SET SESSION sql_mode = ''")
    columns = ", ".join(f"c{n} {type}" for n, (type, _, _) in enumerate(VALUES[on]))
    database.script(f"CREATE TABLE jobs (id integer PRIMARY KEY, state integer, {columns})")
    database.script(f"INSERT INTO jobs VALUES (1, 0, {', '.join(value for _, value, _ in VALUES[on])})")
    done = here("queue", "init", "jobs", "--lease-in", "table", "--apply", "--url", database.url)
    assert done.code == 0, done.err


@pytest.mark.parametrize("on", VALUES)
def test_a_program_gets_valid_json_and_every_value(new_database: NewDatabase, tmp_path: Path, on: str) -> None:
    database = new_database(on)
    made(database, on)
    script, kept = tmp_path / "keep.py", tmp_path / "kept"
    script.write_text(KEEP)
    program = f"{sys.executable} {script} {kept}"
    done = here(
        "drain", "jobs", "--url", database.url, "--where", "state = 0", "--done", "state = 1", "--exec", program
    )
    assert done.code == 0, done.err
    (line,) = kept.read_text().splitlines()
    row = json.loads(line, parse_constant=no_number)
    for n, (type, _, shown) in enumerate(VALUES[on]):
        if on == PG and type in DOCUMENTS:
            assert f'"c{n}":{shown}' in line, type
        else:
            own = database.scalar(f"SELECT CAST(c{n} AS text) FROM jobs") if shown is True else shown
            assert (type, row[f"c{n}"]) == (type, own)


def test_a_function_gets_numbers_that_are_not_rounded(postgresql: Database) -> None:
    made(postgresql, PG)
    seen: list[dict[str, Any]] = []

    def handler(rows: Sequence[dict[str, Any]]) -> None:
        seen.extend(rows)

    library.drain(url=postgresql.url, table="jobs", where="state = 0", done=["state = 1"], handler=handler)
    found = {type: seen[0][f"c{n}"] for n, (type, _, _) in enumerate(VALUES[PG])}
    assert found["json"] == {"a": Decimal(2), "b": Decimal("1.10")}
    assert found["jsonb"] == {"a": Decimal("1234567890123456.78")}
    assert found["jsonb[]"] == [{"a": Decimal("0.10")}]
    assert found["own_document"] == [Decimal("12345678901234567890.5")]


def test_the_age_of_infinity_is_unknown(postgresql: Database) -> None:
    postgresql.script(
        "CREATE TABLE jobs (id integer PRIMARY KEY, at timestamptz, state integer DEFAULT 0);"
        "INSERT INTO jobs VALUES (1, '-infinity'), (2, 'infinity')"
    )
    asked = ("--url", postgresql.url, "--where", "state = 0", "--by", "at", "--json")
    assert here("queue", "init", "jobs", "--apply", "--url", postgresql.url).code == 0
    shown = here("queue", "show", "jobs", *asked)
    assert (shown.code, json.loads(shown.out, parse_constant=no_number)["oldest_seconds"]) == (0, None), shown.err


def test_a_rejected_key_is_told_as_text(mariadb: Database) -> None:
    """And put back by that text."""
    mariadb.script("CREATE TABLE jobs (id binary(2) PRIMARY KEY, state integer); INSERT INTO jobs VALUES (x'fffe', 0)")
    assert here("queue", "init", "jobs", "--apply", "--url", mariadb.url).code == 0
    events: list[Event] = []
    library.drain(
        url=mariadb.url, table="jobs", where="state = 0", done=["state = 1"], exec="false", max_attempts=1,
        on_event=events.append,
    )  # fmt: skip
    assert [event.key for event in events if isinstance(event, Rejected)] == ["id=fffe"]
    back = here("queue", "redrive", "jobs", "--row", "fffe", "--url", mariadb.url)
    assert (back.code, "1 rows put back" in back.out) == (0, True), back.out


def no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def test_bytes_that_sqlite_has_as_text_are_passed_on_as_bytes(sqlite: Database, tmp_path: Path) -> None:
    """Python cannot decode them: the first claim fails at that, the next reads them as they are."""
    sqlite.script(
        "CREATE TABLE jobs (id integer PRIMARY KEY, state integer DEFAULT 0, name text);"
        "INSERT INTO jobs (name) VALUES (CAST(x'61ff' AS text)), ('ä')"
    )
    assert here("queue", "init", "jobs", "--apply", "--url", sqlite.url).code == 0
    script, kept = tmp_path / "keep.py", tmp_path / "kept"
    script.write_text(KEEP)
    done = here(
        "drain", "jobs", "--url", sqlite.url, "--where", "state = 0", "--done", "state = 1", "--exec",
        f"{sys.executable} {script} {kept}",
    )  # fmt: skip
    assert done.code == 0, done.err
    names = [json.loads(line)["name"] for line in kept.read_text().splitlines() if line]
    assert names == [base64.b64encode(b"a\xff").decode(), "ä"]
