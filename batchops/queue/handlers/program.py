"""Checks before the first row that the program of a handler exists and can be started."""

import os
import shlex
import shutil
from pathlib import Path

from batchops.errors import UsageError

NO_SHELL = "no shell is used: pipes and variables do not work."


def argv_of(command: str, flag: str) -> list[str]:
    """Return the words of a command; raise UsageError if its program cannot be started."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.", "quotes must be closed; no shell is used.") from error
    if not words:
        raise UsageError(f"{flag}: the command is empty.")
    found = shutil.which(words[0])
    if found is None:
        raise _not_startable(words[0], flag)
    _check_interpreter(Path(found), flag)
    return words


def _not_startable(program: str, flag: str) -> UsageError:
    path = Path(program)
    if path.is_dir():
        return UsageError(f'{flag}: "{program}" is a folder.', "name the program in it.")
    if path.is_file():
        quoted = shlex.quote(program)
        if not os.access(path, os.X_OK):
            return UsageError(f'{flag}: "{program}" is not executable.', f"chmod +x {quoted}")
        return UsageError(f'{flag}: "{program}" is not on the PATH.', f"name its folder: ./{quoted}")
    return UsageError(f'{flag}: there is no program "{program}".', NO_SHELL)


def _check_interpreter(path: Path, flag: str) -> None:
    """Raise UsageError if the program is a script whose first line does not name an interpreter that exists."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return  # a program may be executable but not readable
    if head and head.isascii() and b"\0" not in head and not head.startswith(b"#!"):
        message = f'{flag}: "{path}" is a text whose first line names no interpreter.'
        raise UsageError(message, "begin it with #!/bin/sh or the like.")
    if not head.startswith(b"#!"):
        return
    line = head.splitlines(keepends=True)[0][2:].decode(errors="replace")
    words = line.split()
    if not words:
        return
    where = f'the first line of "{path}"'
    if "\r" in line and "\n" in line:
        raise UsageError(f"{flag}: {where} ends with a carriage return.", "save the file with Unix line ends.")
    name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
    if not os.access(words[0], os.X_OK):
        raise UsageError(f'{flag}: there is no interpreter "{words[0]}", which {where} names.', _install(words[0]))
    if Path(words[0]).name == "env" and name and shutil.which(name) is None:
        raise UsageError(f'{flag}: there is no interpreter "{name}", which {where} names.', _install(name))


def _install(interpreter: str) -> str:
    return f"install {Path(interpreter).name}, or correct that line."
