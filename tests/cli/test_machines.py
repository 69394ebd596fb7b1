"""What machines are told: figures for Prometheus, pings, log lines."""

import contextlib
import json
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.pinged import Pinged, pinged
from tests.command import Batchops
from tests.services.database import Database
from tests.services.private import free_port
from tests.waiting import ended, until

SECRET = "c0ffee-secret"


@pytest.fixture
def hook() -> Iterator[Pinged]:
    with pinged() as heard:
        yield heard


def figures(text: str) -> dict[str, float]:
    """By name and table; without the comments."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    found = {}
    for name, _, value in lines:
        head, _, labels = name.partition("{")
        assert labels, name
        found[head.removeprefix("batchops_")] = float(value)
    return found


def test_figures_in_a_file(lite: Database, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "batchops.prom"
    args = ("--url", lite.url, "-yq", "--metrics-file", file, "--batch-size", 10)
    assert cli("purge", "ev", "--where", "kind = 1", *args).code == 0
    found = figures(file.read_text())
    assert (found["rows_total"], found["runs_total"], found["last_exit_code"]) == (100, 1, 0)
    assert found["batches_total"] >= 10
    assert time.time() - 60 < found["last_success_timestamp_seconds"] <= time.time()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert 'batchops_job="",table="ev",verb="purge"' in file.read_text()
    # A run that fails is seen, and does not make one forget when it last went well.
    well = found["last_success_timestamp_seconds"]
    assert cli("purge", "ev", "--where", "kid = 1", *args).code == 2
    found = figures(file.read_text())
    assert (found["failures_total"], found["last_exit_code"], found["last_success_timestamp_seconds"]) == (1, 2, well)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_figures_that_are_asked_for(lite: Database, batchops: Batchops) -> None:
    port = free_port()
    args = ("--where", "kind = 1", "--url", lite.url, "--batch-size", 1, "--sleep", "400ms", "-y")
    process = batchops.start("purge", "ev", *args, "--metrics-port", port)
    found: dict[str, float] = {}

    def two_rows() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            found.update(figures(page.read().decode()))
        return found.get("rows_total", 0) >= 2

    until(two_rows, process)
    assert found["batches_total"] >= found["rows_total"] - 1
    process.terminate()
    assert ended(process).code == 143


def test_pings(lite: Database, cli: Cli, hook: Pinged) -> None:
    args = ("--url", lite.url, "-yq", "--ping", "env:HOOK")
    env = {"HOOK": f"{hook.url}/{SECRET}?create=1"}
    assert cli("purge", "ev", "--where", "kind = 1", *args, env=env).code == 0
    assert hook.paths == [f"/{SECRET}/start?create=1", f"/{SECRET}?create=1"]
    assert len(set(hook.runs)) == 1
    assert "100 rows deleted" in hook.pings[1][1]
    hook.pings.clear()
    for command, code in (
        (("purge", "nothere", "--all-rows"), 10),
        (("purge", "ev", "--where", "kid = 1"), 2),
        (("drain", "ev", "--where", "kind = 2", "--done", "kind = 3", "--set", "nothere = 1"), 2),
    ):
        words = [word for word in args if word != "-yq" or command[0] != "drain"]
        assert cli(*command, *words, env=env).code == code
        assert hook.paths[-1] == f"/{SECRET}/{code}?create=1"
    assert len(hook.pings) == 3


@pytest.mark.parametrize("trouble", ["nobody", "refusing"])
def test_a_ping_that_fails_fails_nothing(lite: Database, cli: Cli, hook: Pinged, trouble: str) -> None:
    hook.status = 503
    url = f"{hook.url if trouble == 'refusing' else f'http://127.0.0.1:{free_port()}'}/{SECRET}"
    done = cli("purge", "ev", "--where", "kind = 1", "--url", lite.url, "-y", "--ping", url)
    assert done.code == 0
    assert done.err.count("did not accept a ping") == 1
    assert SECRET not in done.out + done.err


def test_a_dry_run_tells_nobody(lite: Database, cli: Cli, hook: Pinged, tmp_path: Path) -> None:
    file = tmp_path / "figures"
    words = ("--url", lite.url, "--ping", hook.url, "--metrics-file", file)
    assert cli("purge", "ev", "--where", "kind = 1", "-n", *words).code == 0
    assert (hook.pings, file.exists()) == ([], False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ping", SECRET), "not an http:// or https:// URL"),
        (("--ping", "env:NOTSET"), '"NOTSET" to take the URL to ping from'),
        (("--ping", "other=https://example.org/x"), 'no job "other"'),
        (("--metrics-port", "port"), "is not a port"),
        (("--metrics-file", "/nowhere/file"), "cannot be written"),
    ],
)
def test_wrong(lite: Database, cli: Cli, words: tuple[str, ...], said: str) -> None:
    done = cli("purge", "ev", "--where", "kind = 1", "--url", lite.url, "-y", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert SECRET not in done.err


def test_log_lines(lite: Database, cli: Cli) -> None:
    words = ("purge", "ev", "--url", lite.url, "-y", "--log-format")
    text = cli(*words, "text", "--where", "kind = 1")
    (line,) = text.err.splitlines()
    assert line[10:].startswith("T")
    assert line.endswith("batches") or "100 rows deleted" in line
    assert "100 rows deleted" in text.out
    told = [json.loads(line) for line in cli(*words, "json", "--where", "kind = 2").err.splitlines()]
    assert [(each["event"], each["level"], each["rows"]) for each in told] == [("finished", "info", 100)]


def test_each_job_of_a_recipe(lite: Database, cli: Cli, hook: Pinged, tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    recipe.write_text(
        '[job.ones]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 1"\n'
        '[job.wrong]\nverb = "purge"\ntable = "nothere"\nwhere = "kind = 1"\n'
    )
    file = tmp_path / "figures"
    pings = ("--ping", f"{hook.url}/all", "--ping", f"ones={hook.url}/ones")
    assert cli("run", recipe, "-yq", "--metrics-file", file, *pings, env={"BATCHOPS_URL": lite.url}).code == 10
    assert hook.paths == ["/all/start", "/ones/start", "/ones", "/all/10"]
    assert 'batchops_rows_total{batchops_job="ones",table="ev",verb="purge"} 100.0' in file.read_text()
    assert 'batchops_last_exit_code{batchops_job="wrong",table="nothere",verb="purge"} 10.0' in file.read_text()
