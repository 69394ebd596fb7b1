"""A relay that a throttle holds: what it has sent is marked before it waits, and nothing more goes out."""

from pathlib import Path

import pytest

from tests.command import Batchops
from tests.outbox.boxes import delivered, event, left, made, saved
from tests.services.database import Database
from tests.throttles.run import ThrottledRun

EVENTS = 200


@pytest.mark.full
@pytest.mark.in_turn
def test_a_file_holds_it_with_nothing_in_flight(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(f"a{n % 5}", n) for n in range(EVENTS)])
    out, hold = tmp_path / "out", tmp_path / "hold"
    run = ThrottledRun(
        batchops, tmp_path, "relay", "outbox", "--url", database.url, "--to", f"file:{out}", "--batch-size", 2,
        "--sleep", "100ms", "--throttle-file", hold,
    )  # fmt: skip
    run.until(lambda: run.events("committed"))
    hold.touch()
    assert run.until_throttled()["reason"] == f"file: {hold} exists"
    sent = len(delivered(out))
    assert left(database) == EVENTS - sent
    run.until(lambda: len(run.reasons()) > 2)
    assert len(delivered(out)) == sent
    hold.unlink()
    end = run.end()
    assert (end["rows"], len(delivered(out)), left(database)) == (EVENTS, EVENTS, 0)
    assert end["throttled_by"][0]["throttle"] == "file"
