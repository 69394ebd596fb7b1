"""The Tab key: what is offered, and that nothing fails or starts because of it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.command import Batchops
from tests.services.database import Database

RECIPE = """
[params]
days = { type = "integer" }
[job.first]
verb = "purge"
[job.second]
"""


Offered = Callable[..., list[str]]


@pytest.fixture
def offered(cli: Cli, batchops: Batchops) -> Offered:
    """As bash asks, with the cursor at the end of the line, in a folder with a recipe."""
    (batchops.home / "nightly.toml").write_text(RECIPE)
    (batchops.home / "notes.txt").touch()

    def offered(line: str, **env: str) -> list[str]:
        place = str(line.count(" "))
        told = cli(env={"_BATCHOPS_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": place, **env})
        assert (told.code, told.err) == (0, "")
        return [item.partition(",")[2] for item in told.out.split()]

    return offered


def test_what_is_offered(offered: Offered, cli: Cli, lite: Database) -> None:
    url = {"BATCHOPS_URL": lite.url}
    assert cli("purge", "ev", "--where", "kind = 1", "-yq", env=url).code == 0
    expected = {
        "batchops pu": ["purge"],
        "batchops purge --older": ["--older-than"],
        "batchops purge e": ["ev"],
        "batchops purge ev --by k": ["kind"],
        "batchops purge ev --key kind,no": ["kind,note"],
        "batchops purge ev --strategy k": ["key"],
        "batchops purge ev --allow tr": ["triggers"],
        "batchops queue show ot": ["other"],
        "batchops run ni": ["nightly.toml"],
        "batchops run nightly.toml ": ["first", "second"],
        "batchops run nightly.toml first ": ["second"],
        "batchops run nightly.toml --param ": ["days="],
        "batchops recipe ch": ["check"],
        "batchops show ": ["1"],
        "batchops nosuch x": [],
    }
    assert {line: offered(line, **url) for line in expected} == expected


def test_a_database_that_is_not_there_is_no_error(offered: Offered) -> None:
    assert offered("batchops purge e", BATCHOPS_URL="postgresql://nobody@127.0.0.1:1/x") == []
    assert offered("batchops purge ev --by k") == []
    assert offered("batchops run nosuch.toml ") == []


def test_it_starts_no_program(offered: Offered, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    assert offered("batchops purge e", BATCHOPS_URL=f"cmd:touch {mark}") == []
    assert not mark.exists()


def test_the_scripts(cli: Cli, batchops: Batchops, tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        told = cli("completion", shell)
        assert (told.code, told.err) == (0, "")
        if found := shutil.which(shell):
            subprocess.run([found, "-n"], input=told.out, text=True, check=True)
    program = tmp_path / "batchops"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m batchops "$@"\n')
    program.chmod(0o755)
    words = 'eval "$(batchops completion bash)"; COMP_WORDS=(batchops pur); COMP_CWORD=1; _batchops_completion batchops'
    done = subprocess.run(
        ["bash", "--norc", "-c", words + '; echo "${COMPREPLY[@]}"'], capture_output=True, text=True,
        env=batchops.environment() | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("purge\n", "")
