"""References to a URL that is kept outside the command line: env:NAME, file:PATH, cmd:ARGV."""

import os
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchops.db.url_parse import masked
from batchops.errors import UsageError

_SECONDS = 30
_LONGEST = 65536


@dataclass(frozen=True)
class FetchedUrl:
    """A URL and where it was found."""

    text: str = field(repr=False)
    place: str
    warning: str = ""


def is_reference(text: str) -> bool:
    """Whether the text is a reference to a URL, and not a URL itself."""
    kind, colon, rest = text.partition(":")
    return bool(colon) and kind in {"env", "file", "cmd"} and not rest.startswith("//")


def fetch(reference: str, environ: Mapping[str, str], what: str = "database URL") -> FetchedUrl:
    """Return what the reference points at; UsageError where there is nothing. `what` names it in messages."""
    kind, _, rest = reference.partition(":")
    fetched = {"env": _from_variable, "file": _from_file, "cmd": _from_command}[kind](rest.strip(), environ, what)
    if not fetched.text:
        raise UsageError(f"{_capital(fetched.place)} holds no {what}.")
    if is_reference(fetched.text):
        raise UsageError(f"{_capital(fetched.place)} holds another reference, not a {what}.")
    return fetched


def _from_variable(name: str, environ: Mapping[str, str], what: str) -> FetchedUrl:
    if name not in environ:
        raise UsageError(f'There is no environment variable "{name}" to take the {what} from.')
    return FetchedUrl(environ[name].strip(), f"the environment variable {name}")


def _from_file(name: str, environ: Mapping[str, str], what: str) -> FetchedUrl:  # noqa: ARG001  one shape for all three
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            readable_by_all = os.fstat(file.fileno()).st_mode & stat.S_IROTH
            line = file.readline(_LONGEST)
    except OSError as error:
        raise UsageError(f'The file "{name}" with the {what} cannot be read: {error.strerror}.') from error
    warning = f'Every user of this machine can read "{name}". Hint: chmod 600.' if readable_by_all else ""
    return FetchedUrl(line.decode(errors="replace").strip(), f'the file "{name}"', warning)


def _from_command(command: str, environ: Mapping[str, str], what: str) -> FetchedUrl:
    try:
        argv = shlex.split(command)
    except ValueError:
        argv = []
    if not argv:
        raise UsageError("cmd: needs a program and its arguments, quoted as for a shell.")
    done = _run(argv, environ, what)
    if done.returncode:
        stderr = masked(" ".join(done.stderr.decode(errors="replace").split()))[:300]
        raise UsageError(f'The command "{argv[0]}" for the {what} ended with {done.returncode}: {stderr}')
    first, *_ = done.stdout.decode(errors="replace").splitlines() or [""]
    return FetchedUrl(first.strip(), f'the command "{argv[0]}"')


def _run(argv: list[str], environ: Mapping[str, str], what: str) -> subprocess.CompletedProcess[bytes]:
    quiet, env = subprocess.DEVNULL, dict(environ)
    try:
        return subprocess.run(argv, stdin=quiet, capture_output=True, timeout=_SECONDS, env=env, check=False)
    except OSError as error:
        raise UsageError(f'The command "{argv[0]}" for the {what} cannot run: {error.strerror}.') from error
    except subprocess.TimeoutExpired:
        # Not chained: the exception carries what the command has printed.
        raise UsageError(f'The command "{argv[0]}" gave no {what} in {_SECONDS} s.') from None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
