"""The file of --ids: plain lines, or columns of a CSV that its header names."""

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from batchops.bulk.spec import STDIN
from batchops.errors import UsageError

_DELIMITERS = ",;\t|"
Entry = tuple[int, tuple[str, ...]]
"""A line's number, and the texts of its key."""


@dataclass(frozen=True)
class IdFile:
    """A file that can be read again, with a folder for temporary files made from it."""

    name: str
    """The file's name for people."""
    path: Path
    spool: Callable[[], Path]
    """Returns the path for a new temporary file."""
    open: ExitStack
    """What is closed together with the file."""

    def digest(self) -> str:
        """Return the SHA-256 digest of the file."""
        made = sha256()
        with self._opened("rb") as file:
            while token := file.read(1 << 20):
                made.update(token)
        return made.hexdigest()

    def entries(self, columns: Sequence[str]) -> Iterator[Entry]:
        """Yield the texts of each key with its line; UsageError if the header or a line is malformed."""
        with self._opened("r", encoding="utf-8-sig", newline="") as file:
            try:
                first = next((line for line in file if line.strip()), "")
                file.seek(0)
                delimiter = self._delimiter(first.strip(), columns)
                yield from self._plain(file) if delimiter is None else self._csv(file, columns, delimiter)
            except UnicodeDecodeError as error:
                raise UsageError(f"--ids: {self.name} is not UTF-8 text.", "convert it, or export it again.") from error

    def wrong(self, line: int, what: str, hint: str = "") -> UsageError:
        """Return the error for a line."""
        return UsageError(f"--ids: {self.name}, line {line}: {what}", hint)

    def _opened(self, mode: str, **more: str) -> Any:
        try:
            return open(self.path, mode, **more)  # type: ignore[call-overload]  # which file depends on the mode
        except OSError as error:
            raise UsageError(f"--ids: {self.name} cannot be read: {error.strerror}.") from error

    def _delimiter(self, first: str, columns: Sequence[str]) -> str | None:
        """Return the delimiter of a CSV whose first line names the key's columns; None for plain lines."""
        wanted = {name.casefold() for name in columns}
        best: set[str] = set()
        for delimiter in _DELIMITERS:
            named = {name.casefold() for name in _fields(first, delimiter)}
            if wanted <= named:
                return delimiter
            best = max(best, named & wanted, key=len)
        if not first or (len(columns) == 1 and not any(letter in first for letter in _DELIMITERS)):
            return None
        missing = ", ".join(f'"{name}"' for name in columns if name.casefold() not in best)
        raise self.wrong(
            1, f"the header names no column {missing}.",
            f"the first line names the key's columns: {','.join(columns)}; --key names another unique key.",
        )  # fmt: skip

    def _plain(self, file: Iterator[str]) -> Iterator[Entry]:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, (line.rstrip("\r\n"),)

    def _csv(self, file: Iterator[str], columns: Sequence[str], delimiter: str) -> Iterator[Entry]:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        places: list[int] | None = None
        try:
            for fields in reader:
                if not fields:
                    continue  # a blank line
                if places is None:
                    names = [field.strip().casefold() for field in fields]
                    places = [names.index(name.casefold()) for name in columns]
                    continue
                if len(fields) <= max(places):
                    raise self.wrong(reader.line_num, "there are fewer fields than in the header.")
                yield reader.line_num, tuple(fields[place] for place in places)
        except csv.Error as error:
            raise self.wrong(reader.line_num, f"{error}.") from error


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _copy_stdin(to: Path) -> None:
    """Copy stdin to a file, as it can be read only once."""
    binary = getattr(sys.stdin, "buffer", None)  # a program may have replaced stdin with an object without it
    with open(to, "wb") as file:
        if binary is not None:
            shutil.copyfileobj(binary, file)
        elif sys.stdin is not None:
            file.write(sys.stdin.read().encode())


def shown_name(named: str | None) -> str:
    """Return the file's name for people."""
    return "stdin" if named == STDIN else named or ""


@contextmanager
def id_file(named: str | None) -> Iterator[IdFile | None]:
    """Open the file of that name, or a copy of stdin; None for no name."""
    if named is None:
        yield None
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchops-"))
        numbers = count()

        def spool() -> Path:
            return Path(folder) / f"ids-{next(numbers)}"

        if named != STDIN:
            yield IdFile(shown_name(named), Path(named), spool, stack)
            return
        kept = spool()
        _copy_stdin(kept)
        yield IdFile(shown_name(named), kept, spool, stack)
