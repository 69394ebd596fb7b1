"""Throttles on the command line: in the plan, while a run waits, at its end, and in a recipe."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.answering import Service, answering
from tests.cli.conftest import Cli, everything, filled
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "ev", "--where", "kind = 1", "-y")


@pytest.mark.parametrize("verb", [("purge",), ("backfill", "--set", "note = 'x'")])
def test_a_run_that_throttles_never_let_go_ends_busy(
    lite: Database, cli: Cli, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """The load of a host that runs these tests is above nothing at all."""
    events = tmp_path / "events"
    command, *more = verb
    throttled = ("--throttle", "load=0", "--throttle-timeout", "1s", "--events", events)
    ran = cli(command, "ev", "--where", "kind = 1", *more, "--url", lite.url, "-y", "--json", *throttled)
    end = ran.json()
    assert (ran.code, end["reason"], end["rows"]) == (75, "busy", 0)
    assert "load: " in end["error"]["message"]
    assert "(limit 0)" in end["error"]["message"]
    (by,) = end["throttled_by"]
    assert (by["throttle"], by["limit"]) == ("load", 0.0)
    assert by["value"] > 0
    waits = [one for one in map(json.loads, events.read_text().splitlines()) if one["event"] == "throttled"]
    reason = [one["reasons"][0] for one in waits][-1]
    assert reason["reason"] == waits[-1]["reason"]
    assert (reason["throttle"], reason["limit"]) == ("load", 0.0)
    assert "--throttle load=0 --throttle-timeout 1s" in end["next"]


def test_the_limit_of_stop_ends_it_at_once(lite: Database, cli: Cli) -> None:
    ran = cli(*PURGE, "--url", lite.url, "--throttle", "load=0,stop=0.000001", "--json")
    assert ran.code == 75
    assert "more than stop=" in ran.json()["error"]["message"]


def test_waiting_counts_for_max_time(lite: Database, cli: Cli) -> None:
    ran = cli(*PURGE, "--url", lite.url, "--throttle", "load=0", "--max-time", "1s", "--json")
    assert (ran.code, ran.json()["reason"], ran.json()["rows"]) == (0, "max-time", 0)


def test_the_plan_shows_it_and_a_high_limit_lets_it_go_on(lite: Database, cli: Cli) -> None:
    calm = ("--url", lite.url, "--throttle", "load=100000")
    plan = cli(*PURGE, *calm, "--dry-run", "--json").json()["plan"]
    one = next(each for each in plan["throttles"] if each["throttle"] == "load")
    assert (one["limit"], one["stop"], one["on"], one["unit"]) == (100000.0, None, True, "number")
    assert one["value"] > 0
    text = cli(*PURGE, *calm, "--dry-run").out
    assert "\n  throttles load: " in text
    assert "(limit 100,000)" in text
    assert cli(*PURGE, *calm, "--json").json()["rows"] == 100


def test_a_recipe_has_it_as_a_key(lite: Database, cli: Cli, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'[job.old]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 1"\nurl = "{lite.url}"\n'
        'throttle = ["load=0"]\nthrottle-timeout = "1s"\n'
    )
    assert cli("recipe", "check", recipe).code == 0
    (job,) = cli("run", recipe, "-y", "--json").json()["jobs"]
    assert (job["reason"], job["throttled_by"][0]["throttle"]) == ("busy", "load")
    recipe.write_text(recipe.read_text().replace("load=0", "lod=0"))
    wrong = cli("recipe", "check", recipe)
    assert (wrong.code, 'did you mean "load"?' in wrong.out + wrong.err) == (2, True)


@pytest.fixture
def web() -> Iterator[Service]:
    with answering() as web:
        yield web


def test_a_file_holds_it_until_it_is_gone(batchops: Batchops, lite: Database, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", lite.url, "--throttle-file", hold)
    assert run.until_throttled()["reason"] == f"file: {hold} exists"
    hold.unlink()
    end = run.end()
    assert (end["reason"], end["rows"], end["throttled_by"][0]["throttle"]) == ("done", 100, "file")


def test_a_query_holds_it_with_its_reason(batchops: Batchops, lite: Database, tmp_path: Path) -> None:
    lite.execute("CREATE TABLE holds (reason varchar(100))")
    lite.execute("INSERT INTO holds VALUES ('the nightly backup is at work')")
    run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", lite.url, "--throttle-query", "SELECT reason FROM holds")
    assert run.until_throttled()["reason"] == "query: the nightly backup is at work"
    lite.execute("DELETE FROM holds")
    assert run.end()["rows"] == 100


@pytest.mark.full
def test_what_can_no_longer_be_read_holds_it_after_a_while(batchops: Batchops, lite: Database, tmp_path: Path) -> None:
    lite.execute("CREATE TABLE holds (reason varchar(100))")
    slow = ("--batch-size", 1, "--sleep", "1s", "--max-rows", 25)
    run = ThrottledRun(
        batchops, tmp_path, *PURGE, "--url", lite.url, *slow, "--throttle-query", "SELECT reason FROM holds"
    )
    run.until(lambda: run.events("committed"))
    lite.execute("DROP TABLE holds")
    why = run.until_throttled()
    lite.execute("CREATE TABLE holds (reason varchar(100))")
    assert (why["throttle"], why["value"]) == ("query", None)
    assert "query: no reading for " in why["reason"]
    assert "holds" in why["reason"]
    assert run.end()["rows"] == 25


def test_a_service_holds_it_with_its_reason(batchops: Batchops, lite: Database, tmp_path: Path, web: Service) -> None:
    web.answer = 503, b"replicas are rebuilt\n"
    url = f"{web.url}/hold?job=nightly"
    run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", lite.url, "--throttle-http", url)
    assert run.until_throttled()["reason"] == f"http: {web.url}/hold answers 503: replicas are rebuilt"
    web.answer = 200, b""
    assert run.end()["rows"] == 100


@pytest.mark.wide(10)
@pytest.mark.parametrize(
    ("flag", "value", "code", "says"),
    [
        ("query", "DELETE FROM other", 2, "it must be a SELECT"),
        ("query", "SELECT 1; DELETE FROM other", 2, "a semicolon"),
        ("query", "SELECT a FROM nowhere", 2, "nowhere"),
        ("query", "SELECT nope FROM other", 2, "nope"),
        ("query", "SELECT NULL", 2, "it gives NULL"),
        ("query", "SELECT a, b FROM other", 2, "2 columns"),
        ("query", "  ", 2, "it is empty"),
        ("file", "", 2, "it is empty"),
        ("http", "ftp://localhost/", 2, "not an http:// or https:// URL"),
        ("http", "http://ann:secret@localhost/", 2, "env:NAME or file:PATH"),
        ("http", "http://localhost/?a=1&api_key=secret", 2, "env:NAME or file:PATH"),
        ("http", "env:BATCHOPS_NOWHERE", 2, "BATCHOPS_NOWHERE"),
        ("http", "http://127.0.0.1:1/", 12, "does not answer"),
    ],
)
def test_what_cannot_be_a_throttle_is_refused_in_a_line(
    ev: Database, cli: Cli, flag: str, value: str, code: int, says: str
) -> None:  # fmt: skip
    before = everything(ev)
    ran = cli(*PURGE, "--url", ev.url, f"--throttle-{flag}", value)
    assert (ran.code, ran.err.startswith(f"error: --throttle-{flag}")) == (code, True), ran.err
    assert says in ran.err
    assert "secret" not in ran.err
    assert everything(ev) == before


@pytest.mark.parametrize(
    ("answer", "says"), [((302, b""), "redirects to"), ((404, b""), "answers 404"), (None, "nothing within 2 s")]
)
def test_a_service_that_is_no_good_is_refused(
    lite: Database, cli: Cli, web: Service, answer: tuple[int, bytes] | None, says: str
) -> None:  # fmt: skip
    web.answer = answer
    ran = cli(*PURGE, "--url", lite.url, "--throttle-http", web.url)
    assert (ran.code, says in ran.err) == (12, True), ran.err


@pytest.mark.full
@pytest.mark.parametrize(("answer", "says"), [((302, b""), "redirects to"), (None, "nothing within 2 s")])
def test_a_service_that_hangs_or_redirects_later_holds_the_run(
    batchops: Batchops, lite: Database, tmp_path: Path, web: Service, answer: tuple[int, bytes] | None, says: str
) -> None:  # fmt: skip
    slow = ("--batch-size", 1, "--sleep", "1s", "--max-rows", 25)
    run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", lite.url, *slow, "--throttle-http", web.url)
    run.until(lambda: run.events("committed"))
    web.answer = answer
    why = run.until_throttled()
    assert (why["throttle"], "http: no reading for " in why["reason"], says in why["reason"]) == ("http", True, True)
    assert "secret" not in why["reason"]
    web.over.set()
    web.answer = 200, b""
    assert run.end()["rows"] == 25


def test_a_query_that_writes_is_refused_by_the_server(new_database: NewDatabase, cli: Cli) -> None:
    ev = filled(new_database("postgresql"))
    query = "WITH gone AS (DELETE FROM other RETURNING 1) SELECT count(*) FROM gone"
    ran = cli(*PURGE, "--url", ev.url, "--throttle-query", query)
    assert (ran.code, "read-only" in ran.err, len(ev.rows("SELECT a FROM other"))) == (12, True, 2), ran.err
