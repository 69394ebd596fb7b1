"""Help as it is read: kept in snapshots/; BATCHOPS_RENEW_SNAPSHOTS=1 pytest tests/cli/test_help.py renews them."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from batchops.cli.app import cli as group
from batchops.errors import EXIT_MEANINGS
from tests.cli.conftest import Cli
from tests.command import Batchops

SNAPSHOTS = Path(__file__).parent / "snapshots"
COMMANDS = (
    "", "purge", "backfill", "check", "drain", "run", "recipe", "recipe check", "recipe schema",
    "recipe new", "completion", "queue", "queue init", "queue show", "queue redrive", "relay", "outbox",
    "outbox init", "outbox show", "outbox check", "outbox redrive", "outbox replay",
    "schedule", "strategies", "demo", "runs", "show", "ledger", "ledger init", "ledger prune",
)  # fmt: skip
HEAVY = ("sqlalchemy", "pydantic", "pyarrow", "psycopg", "pymysql", "sqlglot")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "batchops")
def test_help(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "--help", env={"COLUMNS": "80", "TERM": "dumb"})
    text = "\n".join(line.rstrip() for line in result.out.splitlines()).strip() + "\n"
    assert (result.code, result.err) == (0, "")
    assert all(f"│ {code.value:>3}  " in text for code in EXIT_MEANINGS)
    assert max(map(len, text.splitlines())) <= 80
    file = SNAPSHOTS / f"{command.replace(' ', '-') or 'batchops'}.txt"
    if os.environ.get("BATCHOPS_RENEW_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), "renew the snapshots if this is meant"


def test_every_command_has_a_snapshot() -> None:
    assert set(group.list_commands(click.Context(group))) == {command.split()[0] for command in COMMANDS if command}
    assert {file.stem for file in SNAPSHOTS.iterdir()} == {c.replace(" ", "-") or "batchops" for c in COMMANDS}


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_first_help_imports_little(batchops: Batchops, words: list[str]) -> None:
    program = (
        "import sys\nfrom batchops.cli.app import main\n"
        f"try:\n    main({words})\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=batchops.environment(), check=True
    )
    assert ran.stderr == "[]\n"
    assert "batchops" in ran.stdout
