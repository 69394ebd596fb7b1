"""How many rows are read at once: as many as fit, one at least, and the server is not asked about many more."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from batchops.db.byte_limit import ByteLimit, RowBytes
from batchops.spec.parsers import size

MB = 10**6


MIXED = [100] * 5_000 + [3 * MB] * 10 + [100] * 5_000


class Table:
    """Rows of these sizes, read from the front; notes how many it was asked about."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.left = list(sizes)
        self.asked: list[int] = []

    def sizes(self, most: int) -> Sequence[int]:
        self.asked.append(most)
        return self.left[:most]

    def read(self, limit: ByteLimit, wanted: int) -> list[int]:
        rows = limit.rows(wanted, self.sizes)
        read, self.left = self.left[:rows], self.left[rows:]
        return read


def limit(most: int, row: int | None = None) -> ByteLimit:
    return ByteLimit(most, RowBytes(sa.literal_column("1"), row))


def test_large_rows_come_few_at_a_time() -> None:
    table, bound = Table([2 * MB] * 100), limit(16 * MB)
    batches = []
    while table.left:
        batches.append(table.read(bound, 500))
    assert max(map(sum, batches)) <= 16 * MB
    assert [len(batch) for batch in batches] == [8] * 12 + [4]
    assert max(table.asked) == 32
    assert max(table.asked[1:]) <= 13


def test_a_row_too_large_goes_alone() -> None:
    table = Table([1, 50 * MB, 50 * MB, 1, 1])
    bound = limit(16 * MB)
    assert [table.read(bound, 10) for _ in range(4)] == [[1], [50 * MB], [50 * MB], [1, 1]]


def test_small_rows_come_as_many_as_were_asked_for() -> None:
    table, bound = Table([100] * 5_000), limit(16 * MB)
    assert [len(table.read(bound, 1_000)) for _ in range(5)] == [1_000] * 5
    assert table.asked == [32, 256, 1_000, 1_000, 1_000, 1_000, 1_000]


def test_where_all_probably_fit_one_number_is_asked_for() -> None:
    plain, summed, totals = Table(MIXED), Table(MIXED), list[int]()
    each, first = limit(16 * MB), limit(16 * MB)

    def total(most: int) -> int:
        totals.append(most)
        return sum(summed.left[:most])

    while plain.left:
        rows = first.rows(1_000, summed.sizes, total)
        read, summed.left = summed.left[:rows], summed.left[rows:]
        assert read == plain.read(each, 1_000)
    assert len(totals) >= 3, "where it said that not all fit, their sizes were asked for"
    assert len(summed.asked) < len(plain.asked) - 2


def test_a_mixture_is_bound_however_it_begins() -> None:
    table, bound = Table(([100] * 300 + [3 * MB] * 10) * 5), limit(16 * MB)
    while table.left:
        assert sum(table.read(bound, 400)) <= 16 * MB


def test_what_cannot_be_large_is_not_asked_about() -> None:
    table, bound = Table([64] * 1_000), limit(16 * MB, row=64)
    assert (len(table.read(bound, 1_000)), table.asked) == (1_000, [])
    assert (len(table.read(bound, 1)), table.asked) == (0, [])


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("16MiB", 16 * 2**20), ("500 kB", 500_000), ("1.5gib", 3 * 2**29), ("1000000", 1_000_000), (7, 7)],
)
def test_sizes_as_people_write_them(text: object, bytes_: int) -> None:
    assert size(text) == bytes_


def test_a_size_that_is_none() -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size("16 pages")
