"""The harness itself: it runs, its sides do their work, it reads pgbench's log rightly."""

import pytest

from tests.benchmarks import flat, pgbench
from tests.benchmarks.__main__ import main


@pytest.mark.full
def test_sqlite_speed_runs_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sqlite", "--scale", "0.02", "--pairs", "1"]) == 0
    printed = capsys.readouterr().out
    for side in ("one DELETE", "batchops purge", "naive loop of 5,000", "one UPDATE", "batchops backfill"):
        assert side in printed


def test_cost_per_row_is_told_for_each_tenth() -> None:
    committed = [{"seconds": tenth * 1e-3, "read": 1000} for tenth in range(1, 11) for _ in range(3)]
    assert flat.costs(committed) == pytest.approx(list(range(1, 11)))


def test_latency_counts_from_when_the_transaction_was_due() -> None:
    traffic = pgbench.Traffic()
    traffic.transactions.append(pgbench.parse("3 17 2500000 1 100 500000 2400000"))
    assert traffic.due_between(97.5, 98.5) == [2500.0]
    assert traffic.due_between(99, 101) == []


@pytest.mark.full
def test_sqlite_shapes_run_small(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--rows", "3000", "--pairs", "1", "--by-hand", "--shape", "half|either")
    assert main(["shapes", "--on", "sqlite", *options]) == 0
    printed = capsys.readouterr().out
    assert "half, no index" in printed
    assert "of 4 of 4 shapes" in printed
    assert printed.count("by hand") == 4
