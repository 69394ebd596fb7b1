"""stdout is for the result alone, and the document's exit code is that of the process."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.command import Batchops
from tests.queue.jobs import DRAIN, jobs, leased
from tests.services.database import Database

LOUD = """
import os, subprocess, sys
print("loud: imported")
def handle(rows):
    print("loud: called")
    sys.stdout.write("loud: no line end")
    subprocess.run(["echo", "loud: a child"], check=True)
    os.write(1, b"loud: by number")
"""
RECIPE = """
[job.work]
verb = "drain"
table = "jobs"
where = "status = 'pending'"
done = ["status = 'done'"]
call = "loud:handle"
"""


@pytest.mark.wide(2)
@pytest.mark.parametrize("command", ["drain", "run"])
@pytest.mark.parametrize("how", ["--json", "-q", "--log-format=text"])
def test_what_a_handler_prints_is_no_result(batchops: Batchops, sqlite: Database, command: str, how: str) -> None:
    jobs(sqlite, 3)
    leased(sqlite)
    (batchops.home / "loud.py").write_text(LOUD)
    (batchops.home / "work.toml").write_text(RECIPE)
    words = ("drain", "jobs", *DRAIN, "--call", "loud:handle") if command == "drain" else ("run", "work.toml", "-y")
    result = batchops.apart(*words, how, env={"BATCHOPS_URL": sqlite.url})
    assert result.code == 0, result
    assert "loud" not in result.out
    for said in ("imported", "called", "no line end", "a child", "by number"):
        assert f"loud: {said}" in result.err
    if how == "--json":
        document = result.json()
        assert (document["exit"], document.get("rows", 3)) == (0, 3)
    else:
        assert bool(result.out) == (how != "-q")


def test_the_documents_exit_code_is_that_of_the_process(lite: Database, cli: Cli, tmp_path: Path) -> None:
    """Of a job, a recipe and in the events, whatever --exit-code makes of the run's own."""
    env, events = {"BATCHOPS_URL": lite.url}, tmp_path / "events"
    ways: list[tuple[tuple[object, ...], int]] = [
        (("--where", "kind = 77"), 4),
        (("--where", "kind = 3", "--max-rows", 10), 5),
        (("--where", "kind = 3"), 0),
        (("--where", "kid = 3"), 2),
    ]
    for words, code in ways:
        result = cli("purge", "ev", *words, "-y", "--json", "--exit-code", "--events", events, env=env)
        assert (result.code, result.json()["exit"]) == (code, code), result
    ends = [json.loads(line) for line in events.read_text().splitlines() if '"event": "finished"' in line]
    assert [end["exit"] for end in ends] == [4, 5, 0]
    recipe = tmp_path / "nothing.toml"
    recipe.write_text('[job.nothing]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 77"\n')
    result = cli("run", recipe, "-y", "--json", "--exit-code", env=env)
    assert (result.code, result.json()["exit"], result.json()["jobs"][0]["exit"]) == (4, 4, 4)
