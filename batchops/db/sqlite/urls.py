"""SQLite's URLs, which name an existing file: a mistyped name must not make a new file."""

import os.path
from collections.abc import Mapping
from urllib.parse import quote, unquote

import sqlalchemy as sa

from batchops.db.url_parse import DriverUrl, Parts, refuse_unknown
from batchops.errors import UsageError

_URI = frozenset({"mode", "cache", "immutable", "nolock", "psow", "vfs"})
_KNOWN = _URI | {"uri", "timeout"}


def read(parts: Parts, environ: Mapping[str, str]) -> DriverUrl:  # noqa: ARG001  every family is asked the same way
    """Return the file's URL; opening it fails if the file does not exist."""
    if parts.hosts or parts.user is not None:
        raise UsageError(
            "An SQLite URL has no host; the file comes after three slashes.",
            "sqlite:///relative/file.db or sqlite:////absolute/file.db.",
        )
    parameters = parts.parameters
    refuse_unknown(parameters, _KNOWN, "SQLite")
    path = unquote(parts.path or "")
    uri = path.startswith("file:") and parameters.pop("uri", "").lower() in {"1", "true", "yes", "on"}
    path = path.removeprefix("file:") if uri else path
    if path in {"", ":memory:"} or parameters.get("mode") == "memory":
        raise UsageError(
            "An SQLite database in memory is empty at the start and lost at the end.",
            "name a file: sqlite:///file.db.",
        )
    if "\0" in path:
        raise UsageError("The file's name in the SQLite URL holds a NUL.")
    return DriverUrl(file_url(path, **parameters))


def file_url(path: str, **parameters: str) -> sa.URL:
    """Return the URL of a file, which must exist unless `mode` is rwc; the parameters are SQLite's own."""
    parameters.pop("uri", None)
    # A URI, as only a URI can say "do not create"; absolute, so that it names the same file after a chdir.
    name = "file:" + quote(os.path.abspath(path))
    return sa.URL.create("sqlite", database=name, query={"mode": "rw"} | parameters | {"uri": "true"})
