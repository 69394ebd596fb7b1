"""The spool of addresses: sorted whatever the order they come in, in memory and on disk."""

import random
from array import array
from contextlib import closing

import pytest

from batchops.bulk.strategies import address_spool
from batchops.bulk.strategies.address_spool import AddressSpool


def spooled(addresses: list[tuple[int, ...]], width: int, memory: int) -> AddressSpool:
    spool = AddressSpool(width, memory)
    for start in range(0, len(addresses), 700):
        spool.add(array("q", [number for one in addresses[start : start + 700] for number in one]))
    spool.sort()
    return spool


@pytest.mark.parametrize("order", ["sorted", "shuffled", "backwards"])
@pytest.mark.parametrize("memory", [10**6, 3_000], ids=["memory", "disk"])
@pytest.mark.parametrize("width", [1, 2])
def test_it_gives_every_address_in_order(width: int, memory: int, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_spool, "_RUN", 1_000)
    monkeypatch.setattr(address_spool, "_SAMPLE", 16)
    wanted = [tuple(i * 3 // (10 if k == 0 and width > 1 else 1) for k in range(width)) for i in range(10_000)]
    given = list(wanted)
    if order == "shuffled":
        random.Random(7).shuffle(given)
    elif order == "backwards":
        given.reverse()
    with closing(spooled(given, width, memory)) as spool:
        assert len(spool) == len(wanted)
        assert (spool.bytes_on_disk > 0) == (memory == 3_000)
        flat = spool.slice(0, len(spool))
        assert list(zip(*(flat[i::width] for i in range(width)), strict=True)) == wanted
        start, end = spool.between(wanted[99], wanted[5_000])
        assert (start, end, spool[start], spool[end - 1]) == (100, 5_001, wanted[100], wanted[5_000])


def test_ends_need_not_be_in_it() -> None:
    with closing(spooled([(i,) for i in range(0, 100, 10)], 1, 1_000)) as spool:
        assert spool.between((5,), (45,)) == (1, 5)
        assert spool.between(None, (-1,)) == (0, 0)
        assert spool.between((90,), None) == (10, 10)


def test_an_empty_one() -> None:
    with closing(spooled([], 1, 1_000)) as spool:
        assert (len(spool), spool.between(None, None)) == (0, (0, 0))
