"""A run that never ends does not remember every row that it has rejected."""

from batchops.events import Rejected
from batchops.finished_details import Cause
from batchops.runtime.causes import KEPT, NAMES, SHOWN, shown_causes
from batchops.runtime.loop import RunStats


def test_all_are_counted_and_some_are_kept() -> None:
    stats = RunStats()
    for batch in range(2_000):
        stats.rejected.add([Rejected(f"id={batch}.{n}", "a CHECK" if n else f"row {batch}") for n in range(5)])
    assert len(stats.rejected) == 10_000
    causes = stats.rejected.causes
    assert len(causes) <= KEPT
    assert (causes[0].reason, causes[0].attempts, causes[0].names) == ("a CHECK", 8_000, ("id=0.1", "id=0.2", "id=0.3"))
    assert len(causes[0].names) <= NAMES


def test_a_line_has_the_first_reasons_with_the_counts_that_are_not_plain() -> None:
    many, one = Cause("a CHECK.", 1_200, ("id=1", "id=2", "id=3")), Cause("a trigger", 1, ("id=9",))
    assert shown_causes([many]) == "a CHECK (id=1, id=2, id=3 …)"
    assert shown_causes([many, one]) == "1,200 × a CHECK (id=1, id=2, id=3 …); a trigger (id=9)"
    assert shown_causes([Cause("down", 5, ("id=1",))]) == "down (id=1)", "one row, tried five times"
    assert shown_causes([many, *[one] * SHOWN]).endswith("; and 1 more reason")
