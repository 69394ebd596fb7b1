"""A drain claims its next batch with the COMMIT of the one before; what does not follow is released."""

from pathlib import Path

import pytest

from tests.command import here
from tests.conftest import NewDatabase
from tests.queue.jobs import DRAIN, drain, jobs, leased, states
from tests.services.database import Database
from tests.services.proxy import Mode, Proxy

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


@pytest.mark.full
@pytest.mark.parametrize("mode", ["cut_after", "cut_before"])
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_lost_commit_loses_neither_batch(new_database: NewDatabase, name: str, mode: Mode) -> None:
    """Of the rows claimed along their token tells whether they are leased: none waits until its lease expires."""
    served = new_database(name)
    jobs(served, 200)
    leased(served)
    work = ("--call", "tests.queue.functions:noop", "--batch-size", "20", "--lease", "10min")
    with Proxy(served.url, mode, every=3, of="('done')") as proxy:
        ended = here("drain", "jobs", "--url", proxy.url, *DRAIN, "--json", *work)
        assert proxy.cut >= 2
    document = ended.json()
    assert (document["reason"], document["rows"], document["lost"]) == ("done", 200, 0), document
    assert states(served) == {"done": 200}
    assert served.rows("SELECT DISTINCT lease, attempts FROM jobs") == [(None, 1)]
