"""The command line as a user runs it, with nothing of ours in its environment; mostly in this process."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from batchops.cli.app import main
from tests.forking import Forked, Forks
from tests.services.database import Database
from tests.waiting import ended

ROOT = Path(__file__).parent.parent


def hear_interrupts() -> None:
    """For a child with a terminal: whoever runs the tests in the background had SIGINT ignored for all of them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(home: Path) -> dict[str, str]:
    """Neither URLs nor passwords, and no warnings filter, from whoever runs the tests."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "120",
        "PYTHONPATH": str(ROOT),
    }


@dataclass(frozen=True)
class Result:
    """What came out."""

    code: int
    out: str
    err: str

    @property
    def own_err(self) -> str:
        """Without warnings about sessions, which are those of other tests of the same server."""
        return re.sub(r"^warning: Session \d+ .*\n", "", self.err, flags=re.MULTILINE)

    def json(self) -> Any:
        """The document on stdout, which must be all that is there."""
        return json.loads(self.out)


def here(*args: object, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
    """Run `batchops ARGS…` to its end in this process, without a terminal; one of its own costs more than most jobs."""
    code: object = None
    with _streams(stdin) as (out, err), patch.dict(os.environ, env or {}):
        try:
            main([str(arg) for arg in args])
        except SystemExit as ended:
            code = ended.code
    return Result(code if isinstance(code, int) else int(code is not None), _text(out), _text(err))


@contextlib.contextmanager
def _streams(stdin: str) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """Streams with bytes below them, as some commands write those."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    with patch("sys.stdin", io.StringIO(stdin)), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


class Batchops:
    """Runs `batchops ARGS…` in an empty home."""

    def __init__(self, home: Path, forks: Forks | None = None) -> None:
        """With `forks` a start takes a child of theirs, where it makes no difference."""
        self.home = home
        self._forks = forks
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *args: object, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run to the end in this process, without a terminal."""
        with patch.dict(os.environ, self.environment(env), clear=True), contextlib.chdir(self.home):
            return here(*args, stdin=stdin)

    def ask(self, database: Database, *words: object) -> Any:
        """Run a command on that database that goes well; its document."""
        result = self(*words, "--json", "--url", database.url)
        assert result.code == 0, result
        return result.json()

    def apart(self, *args: str | Path, env: Mapping[str, str] | None = None) -> Result:
        """Run to the end in a process of its own, where that makes a difference."""
        return Result(*ended(self.start(*args, env=env)))

    def start(self, *args: str | Path, env: Mapping[str, str] | None = None, **popen: Any) -> subprocess.Popen[str]:
        """Start and return at once, to be signalled or killed; the end of the test kills what still runs."""
        process = self._process([*map(str, args)], self.environment(env), PIPES | popen)
        self._started.append(process)
        return process

    def _process(self, words: list[str], env: Mapping[str, str], popen: Any) -> subprocess.Popen[str]:
        same = self.environment()
        at_start = {name for name in env if name.startswith(("PYTHON", "LD_")) and env[name] != same.get(name)}
        if self._forks is None or at_start or popen.keys() > PIPES.keys():
            return subprocess.Popen(self.argv(*words), text=True, cwd=self.home, env=env, **popen)
        return Forked(self._forks, words, text=True, cwd=self.home, env=env, **popen)

    def argv(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "batchops", *map(str, args)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return environment(self.home) | (more or {})

    def close(self) -> None:
        for process in self._started:
            process.kill()
            with contextlib.suppress(ValueError):  # its pipes were closed by the test
                process.communicate()
