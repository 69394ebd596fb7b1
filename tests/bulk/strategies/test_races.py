"""Every walk while others insert, delete, update, change keys and flip what matches: nothing wrong, nothing lost."""

import pytest

import batchops as library
from tests import race
from tests.race import LOW, OLD, ROWS, Writers
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

SPARSE = "match of few"
WALKS = [
    ("postgresql", "key"),
    ("postgresql", SPARSE),
    ("postgresql", "block"),
    ("postgresql", "match"),
    ("postgresql", "limit"),
    ("mariadb", "key"),
    ("mariadb", SPARSE),
    ("mariadb", "match"),
    ("mariadb", "limit"),
    ("sqlite", "match"),
    ("sqlite", "key"),
    ("sqlite", SPARSE),
    ("sqlite", "limit"),
]
SPLIT = ("key", "block", "match")
EVERY = [(name, walk, workers) for name, walk in WALKS for workers in (4, 1)]
QUICK = [one for one in EVERY if one[2] == (4 if one[1] in SPLIT else 1) and one[:2] not in WALKS[-2:]]
LONG = [one for one in EVERY if one not in QUICK]


@pytest.fixture(autouse=True)
def small_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges are split however small they are, so that several workers come into play on a small table."""
    monkeypatch.setattr("batchops.bulk.strategies.key.WORTH_SPLITTING", 200)
    monkeypatch.setattr("batchops.bulk.strategies.block.WORTH_SPLITTING", 200)
    monkeypatch.setattr("batchops.bulk.strategies.match_keys.WORTH_SPLITTING", 200)


def job(database: Database, strategy: str, workers: int) -> dict[str, object]:
    where = LOW if strategy == SPARSE else OLD
    size = 7 if strategy == SPARSE else 40
    strategy = "match" if strategy == SPARSE else strategy
    return {
        "url": database.url, "table": "jobs", "where": where, "strategy": strategy, "workers": workers,
        "batch_size": size, "sleep": "3ms", "allow": ["triggers", "no-key", "scan"],
    }  # fmt: skip


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("name", "strategy", "workers"), [*QUICK, *(pytest.param(*one, marks=pytest.mark.full) for one in LONG)]
)
def test_purge(  # type: ignore[no-untyped-def]  # a fixture of ours
    name: str, strategy: str, workers: int, new_database
) -> None:
    database = new_database(name)
    race.make(database)
    asked = job(database, strategy, workers)
    with Writers(database) as writers:
        finished = library.purge(**asked)
    where = str(asked["where"])
    assert finished.reason == "done", finished
    if strategy != "limit":  # which may turn out to read far too much, and is changed then
        assert finished.strategy == asked["strategy"]
    assert race.touched_wrongly(database, where) == []
    assert race.forgotten(database, where) == []
    assert finished.rows == database.scalar("SELECT count(*) FROM shadow WHERE own = 1")
    assert sum(writers.writes.values()) > (5 if name == "sqlite" else 30), "the race did not take place"
    if workers > 1 and name != "sqlite" and strategy in SPLIT:
        assert database.scalar("SELECT count(*) FROM batchops_worker WHERE rows_changed > 0") > 1


@pytest.mark.wide(1)
@pytest.mark.parametrize("strategy", ["key", "match"])
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_backfill_with_several_workers(  # type: ignore[no-untyped-def]  # a fixture of ours
    name: str, strategy: str, new_database
) -> None:
    """Each row at most once, whichever worker met it; a row whose key is changed meanwhile is another row."""
    database = new_database(name)
    race.make(database)
    with Writers(database) as writers:
        finished = library.backfill(**job(database, strategy, 4), set=["n = n + 1"])
    assert finished.reason == "done", finished
    assert race.touched_wrongly(database, OLD) == []
    touched = f"SELECT id FROM shadow WHERE own = 1 AND id <= {ROWS}"
    assert database.column(f"SELECT id FROM ({touched}) AS t GROUP BY id HAVING count(*) > 1") == []
    untouched = "id NOT IN (SELECT id FROM shadow WHERE own = 0)"
    left = database.column(f"SELECT id FROM start WHERE {OLD} AND {untouched} AND id NOT IN ({touched})")
    assert left == []
    assert sum(writers.writes.values()) > 30, "the race did not take place"


@pytest.mark.full
@pytest.mark.wide(1)
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.full), 4])
@pytest.mark.parametrize("strategy", ["key", "block", "match"])
def test_partitions(postgresql: Database, strategy: str, workers: int) -> None:
    """Rows hop from one partition to another meanwhile."""
    race.make(postgresql, "partitioned")
    with Writers(postgresql) as writers:
        finished = library.purge(**job(postgresql, strategy, workers))
    assert finished.reason == "done", finished
    assert race.touched_wrongly(postgresql, OLD) == []
    assert race.forgotten(postgresql, OLD) == []
    assert writers.writes["bucket"] > 3, "no row hopped"
