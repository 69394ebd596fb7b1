"""One moment for the whole run: time functions, cut-offs, and how each type of column spells it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchops.errors import UsageError
from batchops.events import Event, Finished
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

DAYS_AGO = {
    "postgresql": "now() - i * interval '1 day'",
    "mysql": "NOW() - INTERVAL i DAY",
    "sqlite": "datetime('now', '-' || i || ' days')",
}
MONTH_AGO = {
    "postgresql": "now() - interval '30 days'",
    "mysql": "NOW() - INTERVAL 30 DAY",
    "sqlite": "datetime('now', '-30 days')",
}
NOW = {"postgresql": "now()", "mysql": "NOW(6)", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}
MOMENT = {"postgresql": "timestamptz", "mysql": "datetime(6)", "sqlite": "text"}


def cutoff(finished: Finished) -> str:
    """The moment that was printed, as SQL takes it."""
    assert finished.cutoff is not None
    return re.split(r" \(|, ", finished.cutoff)[0]


def test_a_condition_with_a_time_function(database: Database) -> None:
    numbered(database, 60, created_at=(MOMENT[database.backend], DAYS_AGO[database.backend]))
    finished = Job(database, "purge", where=f"created_at < {MONTH_AGO[database.backend]}", batch_size=3)()
    assert finished.rows in (30, 31)  # the row that is 30 days old was so before the run began
    assert database.column("SELECT id FROM t ORDER BY id") == list(range(1, 61 - finished.rows))


def test_rows_that_come_of_age_while_it_runs_are_the_next_runs(database: Database) -> None:
    """Without a frozen moment, a row that turns old a second later would be met as well."""
    soon = {
        "postgresql": "now() - interval '1 hour' + CASE WHEN i > 5 THEN interval '1 s' ELSE interval '-1 s' END",
        "mysql": "NOW(6) - INTERVAL 1 HOUR + INTERVAL IF(i > 5, 1, -1) SECOND",
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour', iif(i > 5, '+1 second', '-1 second'))",
    }[database.backend]
    numbered(database, 10, at=(MOMENT[database.backend], soon))
    job = Job(database, "purge", older_than="1h", by="at", batch_size=1, sleep="300ms", strategy="key")
    assert job().rows == 5
    assert job().rows == 5, "the next run takes them"


def test_one_moment_in_every_row(database: Database) -> None:
    numbered(database, 40, seen=(MOMENT[database.backend], "NULL"))
    finished = Job(
        database, "backfill", all_rows=True, set=[f"seen = {NOW[database.backend]}"], batch_size=3, sleep="5ms"
    )()
    assert finished.batches >= 7
    assert database.rows("SELECT count(*), count(DISTINCT seen) FROM t") == [(40, 1)]
    same = database.scalar("SELECT count(*) FROM t WHERE seen = :at", at=cutoff(finished))
    assert same == 40, f"{finished.cutoff} was printed, {database.scalar('SELECT seen FROM t')} was set"


def test_whoever_goes_on_has_the_same_moment(database: Database) -> None:
    numbered(database, 40, seen=(MOMENT[database.backend], "NULL"))
    job = Job(database, "backfill", all_rows=True, set=[f"seen = {NOW[database.backend]}"], batch_size=3)
    first = job(max_batches=3)
    second = job()
    assert (first.cutoff, first.run) == (second.cutoff, second.run)
    assert database.rows("SELECT count(*), count(DISTINCT seen) FROM t") == [(40, 1)]


BASE = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def text(form: str) -> Any:
    return lambda at: f"'{at.strftime(form)}'"


TYPES: dict[str, dict[str, Any]] = {
    "postgresql": {
        "date": text("%Y-%m-%d"),
        "timestamp": text("%Y-%m-%d %H:%M:%S"),
        "timestamp(0)": text("%Y-%m-%d %H:%M:%S"),
        "timestamptz": text("%Y-%m-%d %H:%M:%S+00"),
    },
    "mysql": {
        "date": text("%Y-%m-%d"),
        "datetime": text("%Y-%m-%d %H:%M:%S"),
        "datetime(6)": text("%Y-%m-%d %H:%M:%S.%f"),
        "timestamp": text("%Y-%m-%d %H:%M:%S"),
    },
    "sqlite": {
        "text date": text("%Y-%m-%d"),
        "text": text("%Y-%m-%d %H:%M:%S"),
        "text T": text("%Y-%m-%dT%H:%M:%S"),
        "text T and Z": text("%Y-%m-%dT%H:%M:%SZ"),
        "text with milliseconds": text("%Y-%m-%d %H:%M:%S.000"),
        "integer": lambda at: str(int(at.timestamp())),
        "integer, milliseconds": lambda at: str(int(at.timestamp() * 1000)),
        "real": lambda at: repr(at.timestamp() + 0.0),
        "real, Julian": lambda at: repr(at.timestamp() / 86400 + 2440587.5),
    },
}
DAYS = {"date", "text date"}
WITHOUT_ZONE = {
    *(("postgresql", name) for name in ("timestamp", "timestamp(0)", "date")),
    ("mysql", "date"),
    ("sqlite", "text date"),
}
"""PostgreSQL drops a zone where the column has none, as its manual says."""
CASES = [(family, name) for family, types in TYPES.items() for name in types]


def moments(database: Database, name: str, base: datetime, step: timedelta) -> None:
    """Twenty rows: ten before `base`, one at it, nine behind."""
    spell = TYPES[database.backend][name]
    kind = name.split()[0].rstrip(",") if database.backend == "sqlite" else name
    database.script(f"CREATE TABLE t (id integer PRIMARY KEY, at {kind})")
    rows = ", ".join(f"({i}, {spell(base + (i - 10) * step)})" for i in range(20))
    database.script(f"INSERT INTO t VALUES {rows}, (99, NULL)")


@pytest.fixture(params=CASES, ids=" ".join)
def dated(request: pytest.FixtureRequest, new_database: NewDatabase) -> tuple[Database, str]:
    family, name = request.param
    return new_database("mariadb" if family == "mysql" else family), name


@pytest.fixture(params=[case for case in CASES if case not in WITHOUT_ZONE], ids=" ".join)
def zoned(request: pytest.FixtureRequest, new_database: NewDatabase) -> tuple[Database, str]:
    family, name = request.param
    return new_database("mariadb" if family == "mysql" else family), name


@pytest.mark.wide(2)
def test_before(dated: tuple[Database, str]) -> None:
    database, name = dated
    day = name in DAYS
    step = timedelta(days=1) if day else timedelta(seconds=1)
    moments(database, name, BASE, step)
    before = "2026-01-31" if day else "2026-01-31 12:00:00"
    finished = Job(database, "purge", before=before, by="at", batch_size=4)()
    assert finished.rows == 10
    assert database.column("SELECT id FROM t ORDER BY id") == [*range(10, 20), 99]


@pytest.mark.wide(4)
def test_before_with_a_zone(zoned: tuple[Database, str]) -> None:
    """12:00 in London is 14:00 at +02:00; the sessions are in UTC."""
    database, name = zoned
    moments(database, name, BASE, timedelta(hours=1))
    assert Job(database, "purge", before="2026-01-31 14:00:00+02:00", by="at")().rows == 10


@pytest.mark.wide(2)
def test_older_than(dated: tuple[Database, str]) -> None:
    database, name = dated
    now = datetime.now(UTC).replace(microsecond=0)
    moments(database, name, now - timedelta(days=30), timedelta(days=1))
    finished = Job(database, "purge", older_than="30d", by="at", batch_size=4)()
    assert finished.rows in (10, 11)  # the eleventh is 30 days old by now, but in a column of whole days
    printed = re.search(r"[\d.-]{6,}", finished.cutoff or "")
    assert printed, finished.cutoff
    kind = "text" if not printed[0].replace(".", "").isdigit() else "number"
    own = cutoff(finished) if kind == "text" else float(cutoff(finished))
    assert database.scalar("SELECT count(*) FROM t WHERE at < :at", at=own) == 0, "the moment printed is the one used"


@pytest.mark.parametrize("word", ["soon", "2026-13-01", "2026-01-31 25:00", "31.01.2026 noon", ""])
def test_no_moment(database: Database, word: str) -> None:
    numbered(database, 3, at=("date", "NULL"))
    with pytest.raises(UsageError):
        Job(database, "purge", before=word, by="at")()


@pytest.mark.parametrize("sample", ["'31.01.2026'", "'yesterday'", "17", "-1.5"])
def test_sqlite_columns_that_hold_no_moments(sqlite: Database, sample: str) -> None:
    """Compared as text or as a number they would all be "before"."""
    sqlite.script(f"CREATE TABLE t (id integer PRIMARY KEY, at); INSERT INTO t VALUES (1, {sample})")
    with pytest.raises(UsageError):
        Job(sqlite, "purge", older_than="90d", by="at")()
    assert sqlite.scalar("SELECT count(*) FROM t") == 1


def test_names_with_percent_signs_and_colons(database: Database) -> None:
    mark = "`" if database.backend == "mysql" else '"'
    database.script(f"CREATE TABLE t (id integer PRIMARY KEY, {mark}at 50%:x{mark} date)")
    database.script("INSERT INTO t VALUES (1, '2020-01-01'), (2, '2030-01-01')")
    events: list[Event] = []
    assert Job(database, "purge", before="2026-01-01", by="at 50%:x")(hear=events.append).rows == 1
