"""Help as it is read: kept in snapshots/; BATCHOPS_RENEW_SNAPSHOTS=1 pytest tests/cli/test_help.py renews them."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pexpect
import pytest

from batchops.cli.app import cli as group
from tests.cli.conftest import Cli
from tests.command import Batchops
from tests.documents import HELP

SNAPSHOTS = Path(__file__).parent / "snapshots"
COMMANDS = (
    "", "archive", "archive verify", "archive list", "archive show", "archive query", "archive prune",
    "purge", "backfill", "restore", "check", "drain", "run", "recipe",
    "recipe check", "recipe schema", "recipe new", "completion", "queue", "queue init", "queue show",
    "queue redrive", "relay", "outbox",
    "outbox init", "outbox show", "outbox check", "outbox redrive", "outbox replay",
    "schedule", "orphans", "strategies", "throttles", "budget", "budget set", "budget show",
    "demo", "runs", "show", "pause", "resume", "stop", "cancel", "set",
    "ledger", "ledger init", "ledger prune", "help",
)  # fmt: skip
HEAVY = ("sqlalchemy", "pydantic", "pyarrow", "psycopg", "pymysql", "sqlglot")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "batchops")
def test_help(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "--help", env={"COLUMNS": "80", "TERM": "dumb"})
    text = "\n".join(line.rstrip() for line in result.out.splitlines()).strip() + "\n"
    assert (result.code, result.err) == (0, "")
    assert text.endswith("\n Exit codes: batchops help exit-codes\n")
    assert max(map(len, text.splitlines())) <= 80
    file = SNAPSHOTS / f"{command.replace(' ', '-') or 'batchops'}.txt"
    if os.environ.get("BATCHOPS_RENEW_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), "renew the snapshots if this is meant"


def test_every_command_has_a_snapshot() -> None:
    assert set(group.list_commands(click.Context(group))) == {command.split()[0] for command in COMMANDS if command}
    assert {file.stem for file in SNAPSHOTS.iterdir()} == {c.replace(" ", "-") or "batchops" for c in COMMANDS}


def test_the_list_of_topics(cli: Cli) -> None:
    listed = cli("help")
    assert (listed.code, listed.err) == (0, "")
    assert [line.split()[0] for line in listed.out.splitlines() if line.startswith("  ")] == sorted(
        path.stem for path in HELP.glob("*.md")
    )
    assert "\n  exit-codes  Exit codes and reasons\n" in listed.out


def test_a_topic_in_a_pipe_is_markdown(cli: Cli) -> None:
    shown = cli("help", "strategies")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("# How batchops finds the rows of a batch\n")
    assert "See also batchops help checks and batchops help throttling.\n" in shown.out


def test_a_topic_on_a_terminal_is_formatted(batchops: Batchops) -> None:
    first, *others = batchops.argv("help", "exit-codes")
    child = pexpect.spawn(first, others, env=batchops.environment(), dimensions=(50, 80), encoding="utf-8", timeout=60)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "Exit codes and reasons" in child.before
    assert "# Exit" not in child.before
    assert "|---|" not in child.before


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("chekcs", 'did you mean "checks"?'),
        ("purge", "see `batchops purge --help`."),
        ("weather", "see `batchops help`."),
    ],
)
def test_an_unknown_topic(cli: Cli, topic: str, hint: str) -> None:
    result = cli("help", topic)
    assert (result.code, result.out) == (2, "")
    assert result.err == f'error: There is no help topic "{topic}".\nhint: {hint}\n'


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["help", "checks"]])
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
