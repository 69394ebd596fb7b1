"""Reads a TOML text with the line of each key, and every mistake in its syntax, not only the first.

tomllib returns no lines and stops at the first mistake. But each statement of a TOML text begins on a line of its own,
and tomllib can read a single statement. So the statements are read one by one.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchops.errors import UsageError
from batchops.recipes.mistakes import Mistake

LARGEST = 256 * 1024
"""The most bytes of a recipe; a larger file is refused."""
LONGEST_STATEMENT_LINES = 400
"""The most lines of one statement."""
_UNFINISHED = "(at end of document)"
_BEGINNING = re.compile(r"""\s*(\[+[\w\s."'-]+\]+\s*(\#.*)?$|([\w.-]|"[^"]*"|'[^']*'|\s)+=)""")
"""Matches the first line of a statement."""
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")
Place = tuple[str, ...]
"""The path to a key: ("job", "sessions", "where")."""


@dataclass
class TomlSource:
    """The values in a TOML text, the lines of their keys, and the mistakes."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def line(self, *place: str) -> int:
        """Return the line of a key, or of the innermost existing table that it would be in."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


@dataclass(frozen=True)
class _Statement:
    line: int
    text: str
    values: dict[str, Any]

    @property
    def heads(self) -> bool:
        return self.text.lstrip().startswith("[")


def read(path: Path) -> str:
    """Return the text of a recipe file; UsageError where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f'The recipe "{path}" cannot be read: {error.strerror}.') from error
    if len(content) > LARGEST:
        raise UsageError(f'"{path}" is larger than {LARGEST // 1024} KiB: that is not a recipe.')
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f'"{path}" is not a recipe: it is not written in UTF-8.') from error


def parse_toml(text: str) -> TomlSource:
    """Return the values in the text, with the line of each; statements that cannot be read are mistakes."""
    source = TomlSource()
    good = list(_statements(text, source.mistakes))
    while True:
        try:
            source.values = tomllib.loads(_with_lines(good))
            break
        except tomllib.TOMLDecodeError as error:  # each can be read alone, so two statements conflict
            good = _without_conflict(good, error, source.mistakes)
    source.lines = _places(good)
    return source


def _statements(text: str, mistakes: list[Mistake]) -> Iterator[_Statement]:
    lines, first = text.split("\n"), 0
    while first < len(lines):
        end, statement = _read_statement(lines, first, mistakes)
        if statement.values:
            yield statement
        first = end


def _read_statement(lines: list[str], first: int, mistakes: list[Mistake]) -> tuple[int, _Statement]:
    """Return the index of the line after the statement that begins on a line, and the statement.

    A statement that cannot be read is returned empty, and is added to the mistakes.
    """
    message = ""
    for end in range(first + 1, min(len(lines), first + LONGEST_STATEMENT_LINES) + 1):
        text = "\n".join(lines[first:end])
        try:
            return end, _Statement(first + 1, text, tomllib.loads(text + "\n"))
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            if not message.endswith(_UNFINISHED):
                break
        except RecursionError:
            message = "It is nested too deeply"
            break
    mistakes.append(Mistake(first + 1, f"{_PLACE.sub('', message)}: {_shown(lines[first])}"))
    return _next_beginning(lines, first + 1, end), _Statement(first + 1, "", {})


def _next_beginning(lines: list[str], start: int, end: int) -> int:
    """Return the line at which to continue: the rest of an array or text that cannot be read is no further mistake."""
    if end > start:
        while start < len(lines) and not _BEGINNING.match(lines[start]):
            start += 1
    return start


def _shown(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 60 else line[:57] + " …"


def _with_lines(statements: list[_Statement]) -> str:
    """Return a text with all the statements, each on its own line."""
    lines: list[str] = []
    for statement in statements:
        lines += [""] * (statement.line - 1 - len(lines))
        lines += statement.text.split("\n")
    return "\n".join(lines) + "\n"


def _without_conflict(
    statements: list[_Statement], error: tomllib.TOMLDecodeError, mistakes: list[Mistake]
) -> list[_Statement]:
    """Return the statements without the one that has the error; with a table's header, its keys are left out too."""
    found = _PLACE.search(str(error))
    line = int(found[1]) if found and found[1] else statements[-1].line
    at = max(index for index, statement in enumerate(statements) if statement.line <= line)
    bad = statements[at]
    what = "the table is defined twice" if bad.heads else "the key is defined twice, or as something else before"
    mistakes.append(Mistake(bad.line, f"{_shown(bad.text)}: {what}."))
    end = at + 1
    while bad.heads and end < len(statements) and not statements[end].heads:
        end += 1
    return statements[:at] + statements[end:]


def _places(statements: list[_Statement]) -> dict[Place, int]:
    lines: dict[Place, int] = {}
    table: Place = ()
    for statement in statements:
        places = list(_key_places(statement.values))
        if statement.heads:
            table = places[-1]
        for place in places:
            lines.setdefault(place if statement.heads else table + place, statement.line)
    return lines


def _key_places(values: object) -> Iterator[Place]:
    """Yield the paths to a value's keys, outer ones before those inside them."""
    if isinstance(values, list) and values and isinstance(values[0], dict):
        values = values[0]
    for key, value in values.items() if isinstance(values, dict) else ():
        yield (key,)
        for place in _key_places(value):
            yield (key, *place)
