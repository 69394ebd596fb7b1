"""--older-than and --before by a number that counts time since 1970, as most applications keep it."""

from datetime import UTC, datetime, timedelta

import pytest

import batchops as library
from batchops.bulk.purge import VERB as PURGE
from batchops.bulk.spec import PurgeSpec
from batchops.errors import UsageError
from batchops.spec.models import checked
from tests.bulk.plan.situations import ALL
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6}
DAYS = 100


def jobs(database: Database, kind: str, per_second: int) -> None:
    """A row for each of the last hundred days, and one that was never run."""
    now = datetime.now(UTC)
    database.script(f"CREATE TABLE jobs (id integer NOT NULL PRIMARY KEY, at {kind})")
    times = [int((now - timedelta(days=day, hours=1)).timestamp() * per_second) for day in range(DAYS)]
    rows = ", ".join(f"({day}, {at})" for day, at in enumerate(times))
    database.execute(f"INSERT INTO jobs VALUES {rows}, ({DAYS}, 0), ({DAYS + 1}, NULL)")


@pytest.mark.wide(2)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["bigint", "numeric(20, 0)", "double precision"])
@pytest.mark.parametrize("family", ALL)
def test_a_number_is_read_in_its_unit(new_database: NewDatabase, family: str, kind: str, unit: str) -> None:
    database = new_database(family)
    jobs(database, kind, UNITS[unit])
    finished = library.purge(url=database.url, table="jobs", older_than="30 days", by="at")
    # 0 lies before every moment, as one statement would have it.
    assert (finished.reason, finished.rows) == ("done", DAYS - 30 + 1)
    assert finished.cutoff is not None
    assert f"{unit} since 1970: {datetime.now(UTC) - timedelta(days=30):%Y-%m}" in finished.cutoff
    before = f"{datetime.now(UTC) - timedelta(days=10):%Y-%m-%d %H:%M:%S}+00:00"
    assert library.purge(url=database.url, table="jobs", before=before, by="at").rows == 20


@pytest.mark.parametrize("family", ALL)
def test_a_number_of_no_unit_is_refused(new_database: NewDatabase, family: str) -> None:
    """A small number, or two units in one column: neither is guessed at."""
    database = new_database(family)
    jobs(database, "bigint", 1)
    database.execute("UPDATE jobs SET at = id")
    with pytest.raises(UsageError, match="since 1970"):
        library.purge(url=database.url, table="jobs", older_than="30d", by="at")


@pytest.mark.parametrize("family", ALL)
def test_rows_without_a_time_are_counted_and_can_be_left_out(new_database: NewDatabase, family: str) -> None:
    """0 is an unset time in many applications; so are an empty text in SQLite and a zero date in MariaDB."""
    database = new_database(family)
    jobs(database, "bigint", 1)
    database.execute("INSERT INTO jobs VALUES (200, 0), (201, -1)")
    job = {"url": database.url, "table": "jobs", "older_than": "30 days", "by": "at"}
    (warning,) = warned(job)
    assert warning.startswith('3 rows have no time in "at" (at <= 0)')
    where = warning.partition('--where "')[2].partition('"')[0]
    assert warned(job | {"where": where}) == []
    assert library.purge(**job, where=where).rows == DAYS - 30
    assert database.scalar("SELECT count(*) FROM jobs WHERE at <= 0") == 3


@pytest.mark.parametrize(
    ("family", "kind", "unset"), [("sqlite", "text", "''"), ("mariadb", "datetime", "'0000-00-00 00:00:00'")]
)
def test_dates_that_are_none_are_counted(new_database: NewDatabase, family: str, kind: str, unset: str) -> None:
    database = new_database(family)
    database.script(f"CREATE TABLE jobs (id integer NOT NULL PRIMARY KEY, at {kind})")
    database.execute(f"INSERT INTO jobs VALUES (1, '2020-01-01 00:00:00'), (2, {unset}), (3, NULL)")
    job = {"url": database.url, "table": "jobs", "older_than": "30 days", "by": "at"}
    (warning,) = warned(job)
    assert warning.startswith('1 row has no time in "at"')
    assert library.purge(**job, where=warning.partition('--where "')[2].partition('"')[0]).rows == 1


@pytest.mark.parametrize("family", ALL)
def test_one_time_in_another_unit_is_found_wherever_it_stands(new_database: NewDatabase, family: str) -> None:
    """Seconds in a column of milliseconds lie before every cut-off."""
    database = new_database(family)
    jobs(database, "bigint", 1000)
    database.execute("INSERT INTO jobs SELECT id + 1000 * (1 + other.n), at FROM jobs, (SELECT 1 AS n UNION SELECT 2 "
                     "UNION SELECT 3 UNION SELECT 4) AS other")  # fmt: skip
    database.execute("UPDATE jobs SET at = 1700000000 WHERE id = 4050")
    with pytest.raises(UsageError, match="milliseconds since 1970, but also holds 1700000000"):
        library.purge(url=database.url, table="jobs", older_than="30d", by="at")


def warned(job: dict[str, str]) -> list[str]:
    """What the plan warns of."""
    with PURGE.prepare(checked(PurgeSpec, dict(job)), {}) as planned:
        return list(planned.plan.document()["warnings"])


@pytest.mark.parametrize("text", ["03.04.2025", "04/03/2025", "yesterday", "2025-13-01", "1700000000000"])
def test_only_iso_dates_are_read(text: str) -> None:
    """The 3rd of April here is the 4th of March there."""
    with pytest.raises(UsageError, match="ISO"):
        checked(PurgeSpec, {"table": "t", "before": text, "by": "at"})


@pytest.mark.parametrize("text", ["2025-04-03", "2025-04-03T10:00:00Z", "2025-04-03 10:00:00.5+02:00"])
def test_iso_dates(text: str) -> None:
    assert checked(PurgeSpec, {"table": "t", "before": text, "by": "at"}).before == text
