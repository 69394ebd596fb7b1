"""The command line as a user runs it: a process of its own, with nothing of ours in its environment."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def hear_interrupts() -> None:
    """For a child with a terminal: whoever runs the tests in the background had SIGINT ignored for all of them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


TIMEOUT = 120


@dataclass(frozen=True)
class Result:
    """What came out."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The document on stdout, which must be all that is there."""
        return json.loads(self.out)


class Batchops:
    """Runs `batchops ARGS…` in an empty home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        *args: str | Path,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Result:
        """Run to the end, without a terminal."""
        done = subprocess.run(
            self.argv(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.home,
            env=self.environment(env),
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str | Path, env: Mapping[str, str] | None = None, **popen: Any) -> subprocess.Popen[str]:
        """Start and return at once, to be signalled or killed; the end of the test kills what still runs."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            self.argv(*args), text=True, cwd=self.home, env=self.environment(env), **(pipes | popen)
        )
        self._started.append(process)
        return process

    def argv(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "batchops", *map(str, args)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Neither URLs nor passwords, and no warnings filter, from whoever runs the tests."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "PYTHONPATH": str(ROOT),
            **(more or {}),
        }

    def close(self) -> None:
        for process in self._started:
            process.kill()
            with contextlib.suppress(ValueError):  # its pipes were closed by the test
                process.communicate()
