"""What a person sees: the question, the progress line, the summary."""

import re
from collections.abc import Callable

import pexpect
import pyte
import pytest

from tests.command import Batchops, hear_interrupts
from tests.services.database import Database

Terminal = Callable[..., tuple[int, str]]


@pytest.fixture
def terminal(batchops: Batchops, lite: Database) -> Terminal:
    """`terminal(columns, answer, words…)`: the exit code, and what stands on the screen in the end."""

    def terminal(columns: int, answer: str, *words: str) -> tuple[int, str]:
        argv = batchops.argv(*words)
        env = batchops.environment({"TERM": "xterm-256color", "BATCHOPS_URL": lite.url})
        env.pop("COLUMNS")
        child = pexpect.spawn(
            argv[0],
            argv[1:],
            env=env,
            dimensions=(50, columns),
            encoding="utf-8",
            timeout=60,
            preexec_fn=hear_interrupts,
        )  # fmt: skip
        child.expect_exact("[y/N]: ")
        seen = child.before + child.after
        child.send(answer)
        child.expect(pexpect.EOF)
        child.close()
        screen = pyte.Screen(columns, 50)
        pyte.Stream(screen).feed(seen + child.before)
        code = child.exitstatus if child.exitstatus is not None else 128 + child.signalstatus
        return code, "\n".join(line.rstrip() for line in screen.display).strip()

    return terminal


@pytest.mark.parametrize("columns", [80, 120])
def test_yes(terminal: Terminal, lite: Database, columns: int) -> None:
    code, screen = terminal(
        columns, "y\r", "purge", "ev", "--where", "kind = 1", "--batch-size", "20", "--sleep", "30ms"
    )
    assert code == 0, screen
    assert lite.scalar("SELECT count(*) FROM ev") == 900
    plan, after = re.split(r"Delete 100 rows from ev on \S+\? \[y/N\]: y", screen)
    assert plan.startswith("purge ev\n  database ")
    starts = {
        re.match(r"  \w+( \w+)? +", line)[0].__len__() for line in plan.splitlines()[1:] if line[2:3] != " " and line
    }  # type: ignore[index]
    assert len(starts) == 1, plan
    assert re.match(r"\n+purge ev: 100 rows deleted in ", after)
    assert "\n  ended     done" in after
    assert "% working" in after
    assert max(map(len, screen.splitlines())) <= columns


def test_no(terminal: Terminal, lite: Database) -> None:
    code, screen = terminal(80, "n\r", "purge", "ev", "--all-rows")
    assert (code, lite.scalar("SELECT count(*) FROM ev")) == (1, 1000)
    assert screen.endswith("Declined; nothing was changed.")


def test_no_is_the_default_and_the_document_says_declined(terminal: Terminal, lite: Database) -> None:
    code, screen = terminal(200, "\r", "backfill", "ev", "--all-rows", "--set", "kind = 1", "--json")
    assert code == 1
    assert '"reason": "declined", "exit": 1' in screen.replace("\n", "")
    assert lite.scalar("SELECT sum(kind) FROM ev") == 4500


def test_ctrl_c_at_the_question(terminal: Terminal, lite: Database) -> None:
    code, screen = terminal(80, "\x03", "purge", "ev", "--all-rows")
    assert (code, lite.scalar("SELECT count(*) FROM ev")) == (130, 1000)
    assert screen.splitlines()[-1] == "error: Interrupted; nothing was changed."
    assert lite.column("SELECT name FROM sqlite_master WHERE name LIKE 'batchops%'") == []
