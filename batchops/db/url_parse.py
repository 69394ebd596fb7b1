"""Splits a database URL into its parts before any driver sees it; errors never repeat its secrets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, unquote_plus

from sqlalchemy import URL

from batchops.db.registry import examples
from batchops.errors import UsageError

_URL = re.compile(
    r"(?P<scheme>[^:/?\s]+)://(?:(?P<userinfo>[^/?]*)@)?(?P<hosts>[^/?]*)(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?"
)
_SECRET_KEY = re.compile(r"(?i)^(?!passfile$).*(pass|pwd|secret|token|^scram_)")
_IN_TEXT = (
    (re.compile(r"(://[^\s:/@]*:)[^\s/]*@"), r"\1***@"),
    (re.compile(r"(?i)\b(\w*(?:password|passwd|pwd|secret))(\s*=\s*)('[^']*'|[^\s&;]+)"), r"\1\2***"),
)
_ENCODE = 'write the special characters of user, password and names as %XX: "@" is %40, "/" is %2F.'


@dataclass(frozen=True)
class Parts:
    """The parts of a URL as they are written, still percent-encoded."""

    scheme: str
    user: str | None
    password: str | None = field(repr=False)
    hosts: str
    path: str | None
    query: str = field(repr=False)

    @property
    def parameters(self) -> dict[str, str]:
        """The decoded parameters of the query; of a repeated one, the last counts."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every password in the URL, as written and decoded."""
        written = [value for name, value in self._pairs() if _SECRET_KEY.search(name)]
        written += [self.password] if self.password else []
        # Some drivers read a "+" as a space; libpq does not.
        forms = (form for secret in written for form in (secret, unquote(secret), unquote_plus(secret)))
        return tuple(dict.fromkeys(form for form in forms if form))

    @property
    def shown(self) -> str:
        """The URL with *** for every password."""
        user = "" if self.user is None else self.user + (":***@" if self.password is not None else "@")
        pairs = [f"{name}={'***' if _SECRET_KEY.search(name) else value}" for name, value in self._pairs()]
        path = "" if self.path is None else f"/{self.path}"
        return f"{self.scheme}://{user}{self.hosts}{path}" + (f"?{'&'.join(pairs)}" if pairs else "")

    def written(self, scheme: str) -> str:
        """Return the URL as it was given, passwords included, but with this scheme."""
        user = "" if self.user is None else self.user + "@"
        if self.password is not None:
            user = f"{self.user}:{self.password}@"
        path = "" if self.path is None else f"/{self.path}"
        return f"{scheme}://{user}{self.hosts}{path}" + (f"?{self.query}" if self.query else "")

    def _pairs(self) -> list[tuple[str, str]]:
        split = [pair.partition("=") for pair in self.query.split("&") if pair]
        return [(name, value) for name, _, value in split]


@dataclass(frozen=True)
class DriverUrl:
    """What one database's reader has made from the parts of a URL."""

    url: URL = field(repr=False)
    conninfo: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def split(text: str) -> Parts:
    """Split a URL into its parts; a UsageError says what is wrong with the URL and repeats none of it."""
    if not text.isprintable():
        raise UsageError("The database URL holds a control character.", f"{_ENCODE}")
    found = _URL.fullmatch(text)
    if found is None:
        raise UsageError("This is not a database URL.", f"it starts with {', '.join(examples())}.")
    userinfo = found["userinfo"]
    user, colon, password = (userinfo or "").partition(":")
    # If a password had an unencoded "@", the rest of the password would be read as the host and get into messages.
    if "@" in (userinfo or "") or (found["hosts"] and "@" in (found["path"] or "")):
        raise UsageError('The database URL holds more than one "@", or one in its path.', f"{_ENCODE}")
    return Parts(
        scheme=found["scheme"],
        user=None if userinfo is None else user,
        password=password if colon else None,
        hosts=found["hosts"],
        path=found["path"],
        query=found["query"] or "",
    )


def host_and_port(hosts: str) -> tuple[str | None, int | None]:
    """Return one host, an IPv6 address without its brackets, and its port.

    Errors repeat neither of them, as a part of a password may be there.
    """
    found = re.fullmatch(r"(\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[^:\[\]]*))(:(?P<port>.*))?", hosts)
    if found is None:
        raise UsageError("The host in the database URL cannot be read.", "an IPv6 address is written in [ ].")
    return unquote(found["six"] or found["name"] or "") or None, port_number(found["port"])


def port_number(text: str | None) -> int | None:
    """Return the port as a number; None for an empty text."""
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise UsageError("The port in the database URL is not a number from 1 to 65535.", f"{_ENCODE}")
    return int(text)


def refuse_unknown(parameters: Mapping[str, str], known: frozenset[str], whose: str) -> None:
    """Raise UsageError for a parameter of the URL that is not among the driver's `known` ones."""
    for name in parameters:
        if name not in known:
            what = f' "{name}"' if re.fullmatch(r"[A-Za-z][A-Za-z_-]{0,30}", name) else ""
            raise UsageError(
                f"The database URL has a parameter{what} that {whose} does not know.",
                f"leave it out, or use one of these: {', '.join(sorted(known))}.",
            )


def masked(text: str) -> str:
    """Return text of unknown origin with everything that looks like a password replaced by ***."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text
