"""How much a batch reads: never past its bound, and by the server's own counters no more than the walk says."""

import pytest

import batchops as library
from batchops.events import Committed, Warned
from batchops.runtime.pacing import READ_ANYHOW, READ_PER_ROW
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = {"quick": 50_000, "full": 1_000_000}
_MAKE = {
    "postgresql": "INSERT INTO t SELECT i, i % 10, i % {gap}, '' FROM generate_series(1, {rows}) i",
    "mysql": "INSERT INTO t SELECT seq, seq % 10, seq % {gap}, '' FROM seq_1_to_{rows}",
}
SPARSE, MANY = "rare = 7", "kind < 5"
WALKS = [
    ("postgresql", "block", SPARSE),
    ("postgresql", "block", MANY),
    ("postgresql", "key", SPARSE),
    pytest.param("postgresql", "key", MANY, marks=pytest.mark.full),
    ("postgresql", "match", "made < 900"),
    ("mariadb", "key", SPARSE),
    pytest.param("mariadb", "key", MANY, marks=pytest.mark.full),
]


def make(database: Database, rows: int) -> None:
    """Ten rows have rare = 7."""
    database.script("CREATE TABLE t (id integer PRIMARY KEY, kind integer, rare integer, note varchar(100))")
    database.execute(_MAKE[database.backend].format(rows=rows, gap=rows // 10))
    database.script("ALTER TABLE t ADD made integer; CREATE INDEX t_made ON t (made)")
    database.execute("UPDATE t SET made = id")
    database.execute("ANALYZE TABLE t" if database.backend == "mysql" else "VACUUM FULL ANALYZE t")


@pytest.mark.wide(1)
@pytest.mark.parametrize("tier", ["quick", pytest.param("full", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "size", [None, pytest.param(20, marks=pytest.mark.full), pytest.param(1_000, marks=pytest.mark.full)]
)
@pytest.mark.parametrize(("name", "strategy", "where"), WALKS)
def test_no_batch_reads_past_its_bound(  # type: ignore[no-untyped-def]  # a fixture of ours
    name: str, strategy: str, where: str, size: int | None, tier: str, new_database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch is measured, and one that reads five times what it says is one too many."""
    for constant, value in {"EVERY": 1, "TOO_MUCH": 5, "SLACK": 1_000, "IN_A_ROW": 1}.items():
        monkeypatch.setattr(f"batchops.bulk.replan.{constant}", value)
    database: Database = new_database(name)
    rows = ROWS[tier]
    make(database, rows)
    events: list[object] = []
    done = library.purge(
        url=database.url, table="t", where=where, strategy=strategy, batch_size=size, allow=["scan"],
        on_event=events.append, **({"max_batches": 200} if where == MANY else {}),
    )  # fmt: skip
    assert [event.message for event in events if isinstance(event, Warned)] == []
    batches = [event for event in events if isinstance(event, Committed)]
    assert done.strategy == strategy
    block = 400  # rows at most: less than a block is not read
    anyhow = READ_ANYHOW if size is None else 0
    assert all(event.read <= max(READ_PER_ROW * event.size, anyhow) + block for event in batches)
    if where == SPARSE:
        assert (done.reason, done.rows) == ("done", 10)
        assert done.read <= 2.2 * rows, "one pass and a last look"
        assert len(batches) <= 2 * rows / (10 * (size or 500)) + 40, "a window without a match widens the next"
