"""The pace on servers that are made up: near, far away, slow, and unsteady."""

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchops.runtime.pacing import Pacing

TARGET = 0.05


def drive(overhead: float, per_row: float, share: float, noise: float) -> tuple[float, float]:
    """Rows a batch aims at and seconds it takes, once the pace has found its way: medians."""
    pace, chance = Pacing(target=TARGET), random.Random(1)
    seen: list[tuple[int, float]] = []
    for _ in range(400):
        size = pace.size()
        read = size.read
        rows = round(read * share)
        if size.listed and rows > size.rows:
            rows, read = size.rows, round(size.rows / share)
        seconds = (overhead + (read + rows) * per_row) * chance.uniform(1 - noise, 1 + noise)
        pace.observe(size, rows, read, seconds)
        seen.append((size.rows, seconds))
    return median(rows for rows, _ in seen[100:]), median(seconds for _, seconds in seen[100:])


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("overhead", [0.0, 0.02, 0.075, 0.5])
def test_a_batch_is_not_made_small_for_what_it_cannot_help(overhead: float, share: float, noise: float) -> None:
    """Far away from the server every batch is longer than the target; one row each would take for ever."""
    rows, seconds = drive(overhead, 1e-6, share, noise)
    assert rows > 200
    assert seconds < 2 * (overhead + TARGET)


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("per_row", [1e-4, 1e-3, 1e-2])
def test_slow_rows_make_small_batches(per_row: float, noise: float) -> None:
    """A trigger or a large row: then a smaller batch is a shorter one."""
    _, seconds = drive(0.002, per_row, 0.5, noise)
    assert seconds < 1.5 * TARGET


def test_it_reads_more_again_after_it_was_shrunk() -> None:
    """Temporary errors have halved it down, and nothing matches for a long while."""
    pace = Pacing(target=TARGET)
    for _ in range(12):
        pace.shrink()
    for _ in range(40):
        size = pace.size()
        pace.observe(size, 0, size.read, 0.002 + size.read * 1e-7)
    assert pace.size().read > 20_000


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("edge", [300, 3_000])
def test_a_size_at_which_the_plan_flips_is_avoided(edge: int, noise: float) -> None:
    """Orphans: 2,000 rows take 8 ms; a few more and the server reads the whole parent, which takes 140."""
    pace, chance = Pacing(target=TARGET), random.Random(1)
    spent, done, behind = 0.0, 0, 0
    for _ in range(500):
        size = pace.size()
        rows = min(size.rows, round(size.read * 0.5))
        seconds = (rows * 4e-6 + (0.14 if rows > edge else 0)) * chance.uniform(1 - noise, 1 + noise)
        pace.observe(size, rows, size.read, seconds)
        spent, done, behind = spent + seconds, done + rows, behind + (rows > edge)
    assert behind <= 20
    assert done / 500 > 0.5 * edge
    assert spent < 3 * done * 4e-6 + 20 * 0.14


def test_a_window_without_matches_keeps_clear_of_the_edge_too() -> None:
    """The last look over a table reads as many rows again, and changes none."""
    pace, behind = Pacing(target=TARGET), 0
    for _ in range(300):
        size = pace.size()
        behind += size.read > 3_000
        pace.observe(size, 0, size.read, size.read * 2e-6 + (0.14 if size.read > 3_000 else 0))
    assert behind <= 20


@pytest.mark.parametrize("per_row", [4e-6, 1.6e-5])
def test_the_edge_is_known_already_where_matches_end(per_row: float) -> None:
    """Half of the rows match, then none: the window's rows make the plan. Near the target time sizes grow slowly."""
    pace, chance = Pacing(target=TARGET), random.Random(1)
    behind: list[int] = []
    for number in range(200):
        size = pace.size()
        rows = min(size.rows, round(size.read * 0.5)) if number < 60 else 0
        read = min(size.read, 2 * rows) if rows else size.read
        slow = 0.14 if read > 4_100 else 0
        pace.observe(size, rows, read, (read * per_row / 4 + rows * per_row + slow) * chance.uniform(0.7, 1.3))
        behind += [number] if slow else []
    assert len([number for number in behind if number < 60]) <= 6
    assert len([number for number in behind if number >= 60]) <= 4


def test_an_edge_that_is_gone_is_forgotten() -> None:
    """The other plan was for one part of the table alone, or a checkpoint made one batch slow."""
    pace = Pacing(target=TARGET)
    for number in range(200):
        size = pace.size()
        slow = 0.2 if number == 5 else 0.0
        pace.observe(size, size.rows, size.read, slow + size.rows * 1e-6)
    assert pace.size().rows > 20_000


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 100)), min_size=1, max_size=20
    )
)
def test_any_batch_leaves_a_size(batches: list[tuple[int, int, float]]) -> None:
    """Also one that changed rows though by its estimate it read none."""
    pace = Pacing(target=TARGET)
    for rows, read, seconds in batches:
        size = pace.size()
        assert 1 <= size.rows <= size.read
        pace.observe(size, rows, read, seconds)


def test_a_fixed_size_that_errors_have_cut_still_holds_what_must_go_together() -> None:
    pacing = Pacing(fixed=100)
    assert pacing.size().together is None
    pacing.shrink()
    assert (pacing.size().rows, pacing.size().together, pacing.size(larger=True).rows) == (50, 100, 100)
