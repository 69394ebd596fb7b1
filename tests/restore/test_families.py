"""From one database to the next: what their types allow comes back equal, what they do not is refused by name."""

from pathlib import Path

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests import flights
from tests.conftest import NewDatabase
from tests.restore.rows import archive_table, described
from tests.services.database import Database

ROWS = 20_000
THINGS = """
CREATE TABLE things (
    id bigint PRIMARY KEY, small smallint NOT NULL, price numeric(12,3), ratio double precision, yes boolean,
    day date, at timestamp, since timestamptz, ref uuid, raw bytea, note text, tags text[], document jsonb
);
INSERT INTO things VALUES
(1, -5, 12.500, 0.1, true, '2024-02-29', '2024-01-31 10:00:00.5', '2024-03-31 02:30:00+01',
 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff5c0a', E'a\\tb\\\\c\\nd "e" ä😀', ARRAY['a,b', NULL], '{"a": 1.10}'),
(2, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(-9223372036854775808, 32767, -999999999.999, 1e15, false, '1969-12-31', '1969-12-31 23:59:59.999999',
 '1969-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\\x', '', '{}', 'null');
"""


def hop(source: Database, table: str, target: Database, root: Path, into: str) -> int:
    """Archive a table and restore it elsewhere; its rows."""
    lines = archive_table(source, table, root)
    done = library.restore(destination=root, into=into, url=target.url)
    assert (done.reason, done.error, done.rejected) == ("done", None, 0)
    return len(lines)


@pytest.mark.full
def test_around_all_databases(
    postgresql: Database, sqlite: Database, mariadb: Database, tmp_path: Path
) -> None:  # fmt: skip
    """Every value is what it was once it is back, in a table of the first one's types."""
    postgresql.script(THINGS)
    before = described(postgresql, "things")[1]
    hop(postgresql, "things", sqlite, tmp_path / "1", "things")
    assert sqlite.rows("SELECT typeof(raw), typeof(price), typeof(ratio), typeof(yes) FROM things WHERE id = 1") == [
        ("blob", "text", "real", "integer")
    ]
    hop(sqlite, "things", mariadb, tmp_path / "2", "things")
    postgresql.execute("CREATE TABLE back (LIKE things INCLUDING ALL)")
    assert hop(mariadb, "things", postgresql, tmp_path / "3", "back") == 3
    assert described(postgresql, "back")[1] == before


@pytest.mark.full
def test_flights_around_all_databases(
    new_database: NewDatabase, sqlite: Database, mariadb: Database, tmp_path: Path
) -> None:
    january = new_database("postgresql", flights.JANUARY)
    january.execute(f"DELETE FROM flights WHERE id > {ROWS}")
    before = described(january, "flights")[1]
    hop(january, "flights", mariadb, tmp_path / "1", "flights")
    hop(mariadb, "flights", sqlite, tmp_path / "2", "flights")
    january.execute("CREATE TABLE back (LIKE flights INCLUDING ALL)")
    assert hop(sqlite, "flights", january, tmp_path / "3", "back") == ROWS
    assert described(january, "back")[1] == before


def test_what_a_database_cannot_hold_is_refused_or_rejected(
    postgresql: Database, sqlite: Database, mariadb: Database, tmp_path: Path
) -> None:  # fmt: skip
    sqlite.script("CREATE TABLE mixed (id integer PRIMARY KEY, any); INSERT INTO mixed VALUES (1, 'a'), (2, 5);")
    archive_table(sqlite, "mixed", tmp_path / "mixed")
    with pytest.raises(RefusedError, match="several storage classes"):
        library.restore(destination=tmp_path / "mixed", url=postgresql.url)
    postgresql.execute("CREATE TABLE raws (id integer PRIMARY KEY, raw bytea)")
    postgresql.execute("INSERT INTO raws VALUES (1, '\\x00')")
    archive_table(postgresql, "raws", tmp_path / "raws")
    mariadb.execute("CREATE TABLE raws (id integer PRIMARY KEY, raw text)")
    with pytest.raises(RefusedError, match="raw: bytea cannot become text"):
        library.restore(destination=tmp_path / "raws", url=mariadb.url)
    mariadb.script(
        "SET SESSION sql_mode = ''; CREATE TABLE days (id integer PRIMARY KEY, day date); "
        "INSERT INTO days VALUES (1, '0000-00-00'), (2, '2024-02-29'), (3, '2024-02-30');"
    )
    archive_table(mariadb, "days", tmp_path / "days")
    postgresql.execute("CREATE TABLE days (id integer PRIMARY KEY, day date)")
    done = library.restore(destination=tmp_path / "days", url=postgresql.url)
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 1, 2)
    assert postgresql.column("SELECT day::text FROM days") == ["2024-02-29"]
