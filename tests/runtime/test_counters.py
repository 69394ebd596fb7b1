"""A run that never ends does not remember every row that it has rejected."""

from batchops.events import Rejected
from batchops.runtime.counters import CAUSES, KEPT, NAMES
from batchops.runtime.loop import RunStats


def test_all_are_counted_and_some_are_kept() -> None:
    stats = RunStats()
    for batch in range(2_000):
        stats.rejected.add([Rejected(f"id={batch}.{n}", "a CHECK" if n else f"row {batch}") for n in range(5)])
    assert len(stats.rejected) == 10_000
    assert [one.key for one in stats.rejected.first[:3]] == ["id=0.0", "id=0.1", "id=0.2"]
    assert len(stats.rejected.first) == KEPT
    causes = stats.rejected.causes
    assert len(causes) <= CAUSES
    assert (causes[0].reason, causes[0].attempts, causes[0].names) == ("a CHECK", 8_000, ("id=0.1", "id=0.2", "id=0.3"))
    assert len(causes[0].names) <= NAMES
