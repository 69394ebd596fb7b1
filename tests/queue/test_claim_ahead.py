"""A drain claims its next batch with the COMMIT of the one before; what does not follow is released."""

from pathlib import Path

import pytest

from tests.queue.jobs import drain, jobs, leased, states
from tests.services.database import Database

RECORD = ("--call", "tests.queue.functions:record", "--batch-size", "10")


def test_what_was_claimed_for_a_batch_that_does_not_follow_is_released(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of time ends the run between two batches: no attempt of the second one's rows counts."""
    jobs(database, 3_000)
    leased(database)
    monkeypatch.setenv("HANDLED", str(tmp_path / "handled"))
    document = drain(database, *RECORD, "--max-time", "1s", "--json").json()
    left = 3_000 - document["rows"]
    assert (document["reason"], document["exit"], document["leased"]) == ("max-time", 0, 0)
    assert left > 0
    assert states(database) == {"done": document["rows"], "pending": left}
    assert database.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]


def test_a_row_that_cannot_be_leased_keeps_no_other_batch_from_being_marked(postgresql: Database) -> None:
    jobs(postgresql, 100)
    leased(postgresql)
    refuse = "BEGIN RAISE EXCEPTION 'not this one'; END"
    postgresql.script(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$;"
        " CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.lease IS NOT NULL AND NEW.id = 57)"
        " EXECUTE FUNCTION refuse()"
    )
    ended = drain(postgresql, "--call", "tests.queue.functions:noop", "--batch-size", "10", "--json")
    document = ended.json()
    assert "not this one" in document["error"]["message"]
    assert (document["rows"], document["failed"], document["lost"]) == (51, 0, 0)
    assert states(postgresql) == {"done": 51, "pending": 49}
    assert postgresql.rows("SELECT DISTINCT lease, attempts FROM jobs WHERE status = 'pending'") == [(None, 0)]
