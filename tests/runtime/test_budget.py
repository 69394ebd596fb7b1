"""Rows that several workers share: never more than there are, and none lost that a batch did not use."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from batchops.runtime.budget import Budget


@given(most=st.integers(0, 60), batches=st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), max_size=30))
def test_what_is_drawn_and_what_comes_back(most: int, batches: list[tuple[int, float]]) -> None:
    allowance, used = Budget(most), 0
    for wanted, share in batches:
        drawn = allowance.acquire(wanted)
        assert drawn == min(wanted, most - used)
        used += (of := int(drawn * share))
        allowance.release(drawn, of)
    assert allowance.spent == (used == most)


def test_whoever_finds_none_waits_for_what_may_come_back() -> None:
    allowance, later = Budget(10), list[int]()
    assert allowance.acquire(10) == 10
    assert not allowance.spent
    thread = threading.Thread(target=lambda: later.append(allowance.acquire(10)))
    thread.start()
    allowance.release(10, 4)
    thread.join()
    assert later == [6]


def test_many_workers_change_exactly_so_many() -> None:
    allowance, guard, total = Budget(1_000), threading.Lock(), [0]

    def work(number: int) -> None:
        while drawn := allowance.acquire(7):
            used = (drawn * (number + 1)) // 8 if number < 7 else drawn
            with guard:
                total[0] += used
            allowance.release(drawn, used)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (total[0], allowance.spent) == (1_000, True)


def test_a_limit_that_is_set_late_counts_what_was_used() -> None:
    budget = Budget()
    assert (budget.limited, budget.spent, budget.acquire(50)) == (False, False, None)
    budget.release(None, 30)
    budget.limit(40)
    assert budget.acquire(50) == 10
    budget.release(10, 10)
    assert (budget.spent, budget.acquire(5)) == (True, 0)
    budget.limit(None)
    assert budget.acquire(5) is None
