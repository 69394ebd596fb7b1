"""--max-rate and --nice on a run that is done."""

import pytest

from tests.cli.conftest import ROWS, Cli
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


def test_a_purge_keeps_to_its_rate(ev: Database, cli: Cli) -> None:
    words = ("purge", "ev", "--all-rows", "--max-rate", "500/s", "-yq", "--json", "--url", ev.url)
    done = cli(*words)
    document = done.json()
    assert (done.code, document["rows"], document["batches"] > 1) == (0, ROWS, True)
    assert document["seconds"] >= (ROWS - 500) / 500  # the last batch is not waited for
    (throttle,) = document["throttled_by"]
    assert (throttle["throttle"], throttle["limit"]) == ("max-rate", 500)


@pytest.mark.parametrize("pause", [("--sleep", "1h"), ("--max-rate", "1/h"), ("--nice", "1000")])
def test_nothing_is_waited_for_after_the_last_batch(ev: Database, cli: Cli, pause: tuple[str, str]) -> None:
    words = ("purge", "ev", "--all-rows", "--batch-size", ROWS, *pause, "-yq", "--json", "--url", ev.url)
    document = cli(*words).json()
    assert (document["rows"], document["reason"], document["throttled_seconds"]) == (ROWS, "done", 0)


def test_workers_keep_to_it_together(ev: Database, cli: Cli) -> None:
    words = ("purge", "ev", "--all-rows", "--max-rate", "500/s", "--workers", 3, "-yq", "--json", "--url", ev.url)
    document = cli(*words).json()
    assert (document["rows"], document["reason"]) == (ROWS, "done")
    assert document["seconds"] >= (ROWS - 3 * 500) / 500


def test_a_nice_run_sleeps_as_long_as_it_works(ev: Database, cli: Cli) -> None:
    words = ("purge", "ev", "--all-rows", "--nice", "2", "--batch-size", 100, "-yq", "--json", "--url", ev.url)
    document = cli(*words).json()
    assert (document["rows"], document["reason"]) == (ROWS, "done")
    assert document["throttled_seconds"] >= (document["seconds"] - document["throttled_seconds"])


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--max-rate", "5000", "is not a rate above 0, like 5000/s or 300/min"),
        ("--max-rate", "0/s", "is not a rate above 0"),
        ("--max-bytes-rate", "20MB", "is not a rate of bytes, like 20MB/s"),
        ("--max-bytes-rate", "0MB/s", "is not a rate above 0"),
        ("--nice", "-1", "must be at least 0"),
        ("--nice", "very", "is not a number"),
    ],
)
def test_wrong_values(ev: Database, cli: Cli, option: str, value: str, says: str) -> None:
    told = cli("purge", "ev", "--all-rows", option, value, "-y", "--url", ev.url)
    assert (told.code, says in told.err) == (2, True), told
    assert ev.scalar("SELECT count(*) FROM ev") == ROWS


def test_the_plan_says_it(ev: Database, cli: Cli) -> None:
    told = cli("purge", "ev", "--all-rows", "--max-rate", "300/min", "--nice", "0.5", "--dry-run", "--url", ev.url)
    (pacing,) = [line for line in told.out.splitlines() if line.startswith("  pacing ")]
    assert pacing.endswith("a pause of 0.5 times its duration after each, at most 300/min")


def test_bytes_a_second_are_rows_a_second_by_the_plan(ev: Database, cli: Cli) -> None:
    words = ("purge", "ev", "--all-rows", "--max-bytes-rate", "100kB/s", "--url", ev.url)
    planned = cli(*words, "--dry-run", "--json")
    if ev.backend == "mysql":  # the server of the tests has no binlog
        assert (planned.code, "writes no binlog" in planned.json()["error"]["message"]) == (12, True)
        return
    told = planned.json()["plan"]
    rate = 100_000 / (told["log_bytes"] / told["estimate"])
    assert f"at most 100kB/s (about {rate:,.0f} rows/s)" in told["pacing"]
    document = cli(*words, "-yq", "--json").json()
    assert (document["rows"], document["reason"]) == (ROWS, "done")
    assert document["seconds"] >= (ROWS - rate) / rate - 0.1
