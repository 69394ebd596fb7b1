"""Finds the database that a URL names, and keeps passwords out of all output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from urllib.parse import quote, quote_plus

import sqlalchemy as sa

from batchops.db.registry import Registration, by_scheme, examples, load, registrations
from batchops.db.url_parse import DriverUrl, masked, split
from batchops.db.url_references import FetchedUrl, fetch, is_reference
from batchops.errors import UsageError, nearest

ON_COMMAND_LINE = (
    "A password on the command line can be read by every user of this machine. Hint: put the URL into "
    "BATCHOPS_URL, use --url env:NAME, file:PATH or cmd:PROGRAM, or leave the password to ~/.pgpass or "
    "~/.my.cnf."
)
_NOT_GIVEN = "No database is named."


@dataclass(frozen=True)
class DatabaseAddress:
    """The address of a database. Only `shown` may be printed."""

    url: sa.URL = field(repr=False)
    """The URL for create_engine, with the driver. The password is the only secret in it; `conninfo` has them all."""
    database: str
    """The name that it is registered by."""
    shown: str
    """The URL as it was given, with *** for every password."""
    conninfo: str = field(default="", repr=False)
    """The complete connection string for libpq; empty for other drivers."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    """Warnings that the user gets once."""

    @property
    def name(self) -> str:
        """The database and its host, for people: new_audit (127.0.0.1)."""
        authority, _, path = self.shown.partition("://")[2].partition("?")[0].partition("/")
        host = authority.rpartition("@")[2]
        database = path.rpartition("/")[2]  # for a file, its name without the folder
        return f"{database} ({host})" if database and host else database or host or self.shown

    @property
    def bare(self) -> str:
        """`shown` for use in a suggested command: without the *** in place of the password."""
        return self.shown.replace(":***@", "@")


def address(given: str | None, environ: Mapping[str, str]) -> DatabaseAddress:
    """Return the database that --url (`given`) names, else BATCHOPS_URL, else DATABASE_URL; UsageError if none does."""
    named, by_flag = _given_url(given, environ)
    if is_reference(named.text):
        named, by_flag = fetch(named.text, environ), False
    database = _registration(named)
    try:
        parts = split(named.text)
        driver_url: DriverUrl = load(database.reader)(parts, environ)
    except UsageError as error:
        raise UsageError(f"{error.message.removesuffix('.')} ({named.place}).", error.hint) from None
    secrets = tuple(dict.fromkeys(secret for secret in (*parts.secrets, *driver_url.secrets) if secret))
    warnings = (ON_COMMAND_LINE if by_flag else "", named.warning) if parts.secrets else ()
    return DatabaseAddress(
        url=driver_url.url,
        database=database.name,
        shown=parts.shown,
        conninfo=driver_url.conninfo,
        secrets=secrets,
        warnings=tuple(warning for warning in warnings if warning),
    )


def file_address(path: str) -> DatabaseAddress:
    """Return the address of a SQLite file that is made when it does not exist."""
    named = address(f"sqlite:///{quote(path)}?mode=rwc", {})
    return replace(named, shown=f"sqlite:///{path}")


def redact(text: str, address: DatabaseAddress) -> str:
    """Return the text with *** for the address's passwords, in any form, and for anything that looks like one."""
    forms = {form for secret in address.secrets for form in _forms(secret)}
    # Longest first: a short form may be part of a longer one. A password of one or two characters is no secret, and
    # replacing it would destroy every text with these letters.
    for form in sorted((form for form in forms if len(form) > 2), key=len, reverse=True):
        text = text.replace(form, "***")
    return masked(text)


def _forms(secret: str) -> set[str]:
    escaped = secret.replace("\\", "\\\\")
    in_string = {escaped, escaped.replace("'", "\\'"), escaped.replace('"', '\\"'), secret.replace("'", "''")}
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret, safe=" +"),
    } | in_string


def _given_url(given: str | None, environ: Mapping[str, str]) -> tuple[FetchedUrl, bool]:
    if given is not None:
        if not given.strip():
            raise UsageError("--url is empty.", "leave it out to use BATCHOPS_URL or DATABASE_URL.")
        return FetchedUrl(given.strip(), "--url"), True
    for name in ("BATCHOPS_URL", "DATABASE_URL"):
        if environ.get(name, "").strip():
            return FetchedUrl(environ[name].strip(), name), False
    raise UsageError(_NOT_GIVEN, "give --url URL, or set BATCHOPS_URL or DATABASE_URL.")


def _registration(named: FetchedUrl) -> Registration:
    scheme, separator, _ = named.text.partition("://")
    name, plus, driver = scheme.lower().partition("+")
    if not separator:
        raise UsageError(f"{_source(named)} is not a database URL.", _hint_for_no_url(named.text))
    found = by_scheme(name)
    if found is None or (plus and driver not in found.drivers):
        # The scheme is repeated only if it cannot be anything else, such as a password.
        what = f' "{scheme}"' if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.:_-]{0,30}", scheme) else ""
        raise UsageError(f"{_source(named)} is a URL of a kind{what} that batchops does not know.", _nearest(name))
    try:
        import_module(found.driver)
    except ImportError as error:
        raise UsageError(f"The driver {found.driver} is not installed.", f'pip install "{found.install}"') from error
    return found


def _source(named: FetchedUrl) -> str:
    return "What --url gives" if named.place == "--url" else f"What {named.place} holds"


def _nearest(name: str) -> str:
    schemes = [scheme for one in registrations() for scheme in one.schemes]
    close = nearest(name.removeprefix("jdbc:"), schemes)
    guess = f"did you mean {close}://? " if close else ""
    return f"{guess}Supported are {', '.join(examples())}."


def _hint_for_no_url(text: str) -> str:
    if re.fullmatch(r"(?!.*@)[\w./~ -]+\.(db|sqlite3?|db3)", text):
        return f"a file is written sqlite:///{text.removeprefix('./')}."
    if re.match(r"\s*(host|dbname|service|user|port)\s*=", text):
        return "write the same as a URL: postgresql://?host=…&dbname=…, or postgresql://?service=…."
    return f"supported are {', '.join(examples())}, and env:NAME, file:PATH, cmd:PROGRAM that fetch one."
