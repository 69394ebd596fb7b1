"""One parent with very many children: no transaction above the bounds, and memory that does not grow with them."""

import json
from pathlib import Path

import pytest

from tests.bulk.children import shop
from tests.bulk.plan.situations import numbers
from tests.command import Batchops
from tests.figures import Figures
from tests.services.database import Database

GROWS = 60_000
"""Kilobytes that a process may grow by while it works: allocators keep what they once had."""


def memory(pid: int) -> int:
    """Kilobytes resident; 0 once the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def drained(batchops: Batchops, database: Database, children: int, size: int, figures: Figures) -> None:
    shop.make(database, customers=4)
    part = 100_000
    for behind in range(0, children, part):
        database.execute(
            f"INSERT INTO items SELECT {1_000_000 + behind} + i, 2"
            f" FROM {numbers(database, min(part, children - behind))}"
        )
    events = batchops.home / "events.jsonl"
    process = batchops.start(
        "purge", "customers", "--where", shop.GONE, "--with-children", "--url", database.url, "-y", "--json",
        "--batch-size", str(size), "--events", events,
    )  # fmt: skip
    seen = list[int]()
    while process.poll() is None:
        seen.append(memory(process.pid))
        try:
            process.wait(0.2)
        except Exception:  # noqa: BLE001  it still works
            continue
    assert process.returncode == 0, process.communicate()
    batches = [json.loads(line) for line in events.read_text().splitlines()]
    rows = [sum(one.get("tables", {}).values()) for one in batches if one["event"] == "committed"]
    assert max(rows) <= 1.25 * size
    assert sum(rows) > children
    assert not shop.lost(database)
    at_work = [one for one in seen if one][len(seen) // 4 :]
    figures(children=children, batches=len(rows), largest=max(rows), memory_kb=max(at_work, default=0))
    assert max(at_work) - min(at_work) < GROWS


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_three_million_children(batchops: Batchops, database: Database, figures: Figures) -> None:
    drained(batchops, database, 3_000_000, 5_000, figures)


@pytest.mark.full
@pytest.mark.in_turn
def test_some_thousand_children(batchops: Batchops, database: Database, figures: Figures) -> None:
    drained(batchops, database, 4_000, 500, figures)
