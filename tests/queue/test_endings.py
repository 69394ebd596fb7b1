"""How a run ends in which something failed: never "done", never 0 behind a limit, and with the reasons."""

from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

import batchops as library
from batchops.events import Failure, Finished
from batchops.runtime.threads import Threads
from batchops.scheduler.fires import Fire
from batchops.scheduler.misfires import MisfirePolicy, Schedule
from batchops.scheduler.work import FireInProgress, Task
from batchops.spec.times import every
from tests.outbox.boxes import event, made, relay, saved
from tests.outbox.sinks.webhook import Webhook
from tests.queue.jobs import DRAIN, drain, here, jobs, leased
from tests.services.database import Database
from tests.services.private import free_port

pytestmark = pytest.mark.in_turn

HANDLERS = {
    "raises": (("--call", "tests.queue.functions:of_one_row"), "TypeError: list indices must be integers"),
    "no-program": (("--exec", "python3 not-there.py"), "No such file or directory"),
}
LIMITS = {
    "none": (),
    "batches": ("--max-batches", "1"),
    "rows": ("--max-rows", "3"),
    "time": ("--poll", "100ms", "--max-time", "1s"),
}
PLACES = pytest.mark.parametrize("place", ["columns", "table"])


def prepared(database: Database, rows: int, place: str = "columns") -> None:
    jobs(database, rows)
    leased(database, place)


@pytest.mark.wide(2)
@PLACES
@pytest.mark.parametrize("handler", HANDLERS)
def test_work_tried_and_none_of_it_through_is_incomplete(database: Database, place: str, handler: str) -> None:
    prepared(database, 3, place)
    args, reason = HANDLERS[handler]
    args = (*args, "--backoff", "1h")  # so that they wait still when the second drain comes
    result = here("drain", "jobs", "--url", database.url, *DRAIN, *args)
    assert result.code == 3
    assert "done, nothing" not in result.out
    assert "0 of 3 done, 3 failed and wait: " in result.out, result.out
    assert reason in result.out
    later = drain(database, *args)
    assert (later.code, later.json()["reason"], later.json()["waiting"]) == (0, "done", 3)


def test_the_document_of_a_drain_in_vain_has_the_reasons(database: Database) -> None:
    prepared(database, 3)
    document = drain(database, "--call", "tests.queue.functions:of_one_row").json()
    assert (document["reason"], document["exit"], document["error"]["code"]) == ("incomplete", 3, "incomplete")
    assert "TypeError" in document["error"]["message"]
    [cause] = document["causes"]
    assert (cause["attempts"], cause["names"]) == (3, ["id=1", "id=2", "id=3"])


@pytest.mark.wide(2)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_hides_no_row_given_up_on(database: Database, limit: str) -> None:
    prepared(database, 20)
    args = ("--call", "tests.queue.functions:some_fail", "--max-attempts", "1", "--batch-size", "10")
    result = drain(database, *args, *LIMITS[limit] if limit != "rows" else ("--max-rows", "12"))
    document = result.json()
    while limit == "time" and not document["dead_letters"]:  # ended before row 7, on a slow machine
        result = drain(database, *args, *LIMITS[limit])
        document = result.json()
    assert (result.code, document["reason"]) == (3, "incomplete"), document
    assert document["rows"] > 0
    assert "given up: job 7 is odd (id=7" in document["error"]["message"]


@pytest.mark.wide(2)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_hides_no_work_in_vain(database: Database, limit: str) -> None:
    prepared(database, 3)
    result = drain(database, "--call", "tests.queue.functions:of_one_row", *LIMITS[limit])
    assert (result.code, result.json()["reason"]) == (3, "incomplete"), result


@pytest.mark.parametrize("limit", ["batches", "time"])
def test_a_limit_hides_no_failed_row_where_there_are_no_leases(database: Database, limit: str) -> None:
    jobs(database, 20)
    args = ("--call", "tests.queue.functions:effect_but_tens", "--lease-in", "none", *LIMITS[limit])
    assert drain(database, *args).code == 3


def test_some_failed_and_wait_is_done_and_says_why(database: Database) -> None:
    prepared(database, 20)
    result = here("drain", "jobs", "--url", database.url, *DRAIN, "--call", "tests.queue.functions:some_fail")
    assert result.code == 0
    assert "18 rows handled" in result.out
    assert "2 attempts failed: job 7 is odd" in result.out


@pytest.mark.wide(2)
@pytest.mark.parametrize("limit", ["none", "batches", "time"])
def test_a_limit_hides_no_refused_event(database: Database, limit: str) -> None:
    made(database)
    saved(database, [event(key, 1) for key in "abc"])
    with Webhook() as webhook:
        webhook.script = lambda request: 400 if request.event["subject"] == "b" else 204
        to = webhook.url.partition("?")[0]
        result = relay(database, to, "--max-attempts", "1", "--on-failed", "dead-letter", *LIMITS[limit])
    document = result.json()
    assert (result.code, document["reason"], document["rows"]) == (3, "incomplete", 2), document
    assert "Event 2 of order:b was refused" in document["error"]["message"]


def test_nothing_delivered_to_a_destination_that_is_down_is_no_success(database: Database) -> None:
    made(database)
    saved(database, [event("a", 1)])
    to = f"http://127.0.0.1:{free_port()}/"
    result = relay(database, to, *LIMITS["time"])
    assert (result.code, result.json()["reason"]) == (3, "incomplete"), result
    assert "the destination is down" in result.json()["error"]["message"]


def test_what_needs_a_job_in_vain_is_not_run_and_its_fire_failed(database: Database, tmp_path: Path) -> None:
    prepared(database, 3)
    recipe = tmp_path / "two.toml"
    common = f'verb = "drain"\nurl = "{database.url}"\ntable = "jobs"\nwhere = "status = \'pending\'"\n'
    common += "done = \"status = 'done'\"\nmax-batches = 1\n"
    recipe.write_text(
        f'[job.first]\n{common}call = "tests.queue.functions:of_one_row"\n'
        f'[job.second]\n{common}call = "tests.queue.functions:noop"\nneeds = ["first"]\n'
    )
    ends = library.run(recipe)
    first = ends["first"]
    assert first is not None
    assert (first.exit, first.reason, ends["second"]) == (3, "incomplete", None)
    state, said = fired(first)
    assert state == "failed"
    assert "TypeError" in said


def fired(finished: Finished) -> tuple[str | None, str]:
    """What a scheduler makes of a fire whose job ended so."""
    schedule = Schedule("job", every(timedelta(seconds=20)), MisfirePolicy())

    over = Event()
    threads = Threads(lambda _: None, lambda _: None)
    work = FireInProgress(
        Task("job", schedule, lambda *_: finished, lambda _: None), Fire("job", 0, "token"), over.set, threads
    )
    assert over.wait(30)
    return work.outcome()


@pytest.mark.parametrize(("rows", "state"), [(0, "skipped"), (5, "ran")])
def test_a_fire_ran_though_other_workers_had_the_rest(rows: int, state: str) -> None:
    """What it did itself counts; where that is nothing, the others were at work."""
    error = Failure("locked", "3 rows are leased to other workers.")
    finished = Finished("drain", "jobs", "locked", 11, "", rows=rows, error=error)
    assert fired(finished) == (state, error.message)
