"""Calls with a deadline: which of those that took too long still hang."""

import threading
from contextlib import closing

import pytest

from batchops.queue.deadline import Deadline, DeadlinePassedError
from tests.waiting import until


def test_a_call_that_returned_late_hangs_no_more() -> None:
    returns = threading.Event()
    with closing(Deadline(0.01, lambda: False)) as deadline:
        for hanging in (1, 2):
            with pytest.raises(DeadlinePassedError):
                deadline.call(returns.wait)
            assert deadline.hanging == hanging
        returns.set()
        until(lambda: deadline.hanging == 0)
