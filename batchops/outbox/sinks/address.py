"""Reads the address of a sink from its URL. No message about an address repeats a secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from batchops.db.url_references import fetch, is_reference
from batchops.durations import parse
from batchops.errors import UsageError, did_you_mean

_ENCODE = 'write the special characters of user, password and names as %XX: "@" is %40, "/" is %2F, "#" is %23.'


@dataclass(frozen=True)
class SinkAddress:
    """The decoded parts of a sink's URL. Only `place` may be printed."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    user: str | None
    password: str | None = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """Return the scheme, hosts and ports, which hold no secret."""
        return f"{self.scheme}://{','.join(f'[{h}]:{p}' if ':' in h else f'{h}:{p}' for h, p in self.hosts)}"

    def only(self, *known: str) -> None:
        """Raise UsageError if the URL has an option other than these."""
        for name in self.options:
            if name in known:
                continue
            what = f' "{name}"' if re.fullmatch(r"[A-Za-z][A-Za-z._-]{0,40}", name) else ""
            hint = did_you_mean(name, known) or f"there are {', '.join(sorted(known))}."
            raise UsageError(f"{self.scheme}:// has no option{what}.", hint)

    def seconds(self, name: str, default: float) -> float:
        """Return the option as a duration in seconds, above 0."""
        if name not in self.options:
            return default
        try:
            seconds = parse(self.options[name]).total_seconds()
        except ValueError as error:
            raise UsageError(f"{self.scheme}://…{name}=: {error}") from None
        if not seconds:
            raise UsageError(f"{self.scheme}://…{name}= must be greater than 0.")
        return seconds

    def number(self, name: str, default: int, most: int) -> int:
        """Return the option as a whole number from 1 to `most`."""
        text = self.options.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,12}", text) or not 1 <= int(text) <= most:
            raise UsageError(f"{self.scheme}://…{name}= is not a number from 1 to {most:,}.")
        return int(text)

    def choice(self, name: str, *choices: str) -> str:
        """Return the option, which must be one of these; the first if the URL does not have it."""
        text = self.options.get(name, choices[0])
        if text not in choices:
            raise UsageError(f"{self.scheme}://…{name}= is none of {', '.join(choices)}.")
        return text

    def secret(self, name: str) -> str | None:
        """Return the secret that the option's env:NAME, file:PATH or cmd:PROGRAM gives.

        The option's own text is never taken for the secret, since others could read it.
        """
        text = self.options.get(name)
        if text is None:
            return None
        if not is_reference(text):
            raise UsageError(
                f"{self.scheme}://…{name}= does not take the {name} itself, which others could read.",
                f"say where it is: {name}=env:NAME, {name}=file:PATH or {name}=cmd:PROGRAM.",
            )
        return fetch(text, self.environ, name).text


def address(text: str, port: int, environ: Mapping[str, str]) -> SinkAddress:
    """Return the parts of the URL; `port` is for hosts without one. Raise UsageError if the URL cannot be read."""
    scheme = text.partition(":")[0].lower()
    if not text.isprintable() or " " in text:
        raise UsageError(f"The {scheme}:// URL holds a blank or a control character.", _ENCODE)
    try:
        parts = urlsplit(text)
    except ValueError:
        raise UsageError(
            f"The {scheme}:// URL cannot be read.", f"an IPv6 address is written in [ ]; {_ENCODE}"
        ) from None
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, colon, password = userinfo.partition(":")
    # An unencoded "@" or "/" in a password would put the rest of the password in a part that is printed.
    if "@" in userinfo or "@" in parts.path or not hosts:
        raise UsageError(f'The {scheme}:// URL names no host, or holds more than one "@".', _ENCODE)
    return SinkAddress(
        scheme=scheme,
        hosts=tuple(_host(scheme, host, port) for host in hosts.split(",")),
        path=unquote(parts.path.removeprefix("/")),
        user=unquote(user) if at else None,
        password=unquote(password) if colon else None,
        options=_options(scheme, parts),
        environ=environ,
    )


def _options(scheme: str, parts: SplitResult) -> dict[str, str]:
    """Return the options: the query of a broker's URL, but the fragment over HTTP, as the receiver owns the query."""
    web = scheme in ("http", "https")
    if parts.fragment and not web:
        raise UsageError(f'The {scheme}:// URL holds a "#".', _ENCODE)
    pairs = parse_qsl(parts.fragment if web else parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise UsageError(f"The {scheme}:// URL gives an option twice.")
    return options


def _host(scheme: str, text: str, port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[\w.-]+))(?::(?P<port>[0-9]{1,5}))?", text)
    number = int(found["port"] or port) if found else 0
    if found is None or not 0 < number < 65536:
        raise UsageError(f"A host or port in the {scheme}:// URL cannot be read.", f"host:port; {_ENCODE}")
    return found["six"] or found["name"], number


def without_secrets(to: str) -> str:
    """Return the destination in a form that may be printed: without user, password and token."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", to)[0]) if "://" in to else to
