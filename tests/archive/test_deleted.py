"""Which rows of a segment count, where some of them stayed in their table."""

from hypothesis import given
from hypothesis import strategies as st

from batchops.archive.deleted import DeletedRows, archived, merged, stretches_of


@given(st.lists(st.integers(0, 4), max_size=8), st.sets(st.integers(0, 20)))
def test_all_lines_but_those_that_stayed(sizes: list[int], stayed: set[int]) -> None:
    lines = [str(i).encode() for i in range(sum(sizes))]
    rest = iter(lines)
    blocks = [[next(rest) for _ in range(size)] for size in sizes]
    found = [line for block in archived(blocks, stretches_of(stayed)) for line in block]
    assert found == [line for place, line in enumerate(lines) if place not in stayed]


def test_stretches_join_and_come_back() -> None:
    assert merged([(5, 7), (0, 2), (2, 3), (6, 9), (9, 9)]) == [(0, 3), (5, 9)]
    deleted = DeletedRows(3, "0f", ((0, 3), (5, 9)))
    assert DeletedRows.loaded(deleted.dumped("a/1.csv.gz")) == deleted
