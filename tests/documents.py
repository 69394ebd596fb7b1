"""README.md and the help topics: their blocks of code, and what runs them as a reader would."""

import io
import re
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from tests.command import ROOT, Batchops
from tests.services.database import Database
from tests.waiting import ended, until

README = ROOT / "README.md"
HELP = ROOT / "batchops" / "help"
DOCUMENTS = {"README": README, **{path.stem: path for path in sorted(HELP.glob("*.md"))}}
INSTALLS = ("pip", "pipx", "uv", "docker", "export")
"""What a reader types that is no command of ours."""
ASKS = ("purge", "backfill", "archive", "run")
BEHIND = ("verify", "list", "show", "query", "prune")
"""Words behind a verb that ask nothing."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that its first line names, as in `# nightly.toml`."""
        named = re.match(r"# ([\w-]+\.(toml|py))\n", self.text)
        return named[1] if named else ""


def blocks(document: str, language: str = "") -> list[Block]:
    """In their order; of one language, or of all."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", document, re.M | re.S)
    all_of_them = [Block(name, textwrap.dedent(inner)) for _, name, inner in found]
    return [block for block in all_of_them if language in ("", block.language)]


def commands(document: str) -> list[list[str]]:
    """The words of each command line, without what installs."""
    lines = [line for block in blocks(document, "console") for line in block.text.splitlines()]
    return [shlex.split(line) for line in lines if line.split()[0] not in INSTALLS]


class Reader:
    """Does what a document shows, from its first block to its last, with `database` as BATCHOPS_URL."""

    def __init__(self, batchops: Batchops, database: Database) -> None:
        self._batchops, self._database = batchops, database
        self._env = {"BATCHOPS_URL": database.url, "PYTHONPATH": f"{ROOT}:{batchops.home}"}

    def read(self, document: str) -> None:
        for block in blocks(document):
            if block.file:
                # A test has less patience than a schedule.
                (self._batchops.home / block.file).write_text(block.text.replace('"20s"', '"1s"'))
            elif block.language == "console":
                for words in commands(f"```console\n{block.text}```"):
                    self._command(words)
            elif block.language == "python":
                self._python(block.text)
            elif block.language == "sql" and "GRANT" not in block.text:
                for statement in _statements(block.text):
                    self._database.execute(statement)

    def _command(self, words: list[str]) -> None:
        """Each as it is written, `-y` for the yes of a person; one that stays up is ended once it has worked."""
        assert words[0] == "batchops", words
        if "--poll" in words or (words[1] == "schedule" and "--preview" not in words):
            self._stays_up(words[1:])
            return
        answer = (
            ["-y"]
            if words[1] in ASKS and words[2] not in BEHIND and not {"-y", "-yq", "-n", "--dry-run"} & {*words}
            else []
        )
        small = ["--rows", "1000"] if words[1] == "demo" else []
        result = self._batchops(*words[1:], *answer, *small, env=self._env)
        assert (result.code, words) == (0, words), result.err

    def _stays_up(self, words: list[str]) -> None:
        events = self._batchops.home / f"{len(list(self._batchops.home.iterdir()))}.events"
        process = self._batchops.start(*words, "--events", events, env=self._env)
        until(lambda: events.exists() and '"event": "committed"' in events.read_text(), process)
        process.terminate()
        end = ended(process)
        assert (end.code, words) == (0, words), end.err

    def _python(self, code: str) -> None:
        code = re.sub(r'"sqlite:///.*?"', repr(self._database.url), code)
        out = io.StringIO()
        with redirect_stdout(out), chdir(self._batchops.home):
            exec(code, {"engine": self._database.engine, "text": text})
        assert all(line.startswith("done ") for line in out.getvalue().splitlines()), out.getvalue()


def _statements(sql: str) -> Iterator[str]:
    yield from (statement for part in sql.split(";\n") if (statement := part.strip()))


def linked(path: Path) -> set[Path]:
    """The files of the repository to which a document links."""
    targets = re.findall(r"]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    return {(path.parent / target).resolve() for target in targets if "://" not in target}
