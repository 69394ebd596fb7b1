"""The throttle `http`: a run waits while a service answers 429 or 503."""

import http.client
import os
import re
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from batchops.db.signals import Measured
from batchops.db.url_references import fetch, is_reference
from batchops.errors import UnreachableError, UsageError
from batchops.throttles.kind import ThrottleKind

TIMEOUT = 2.0
"""Seconds for the whole of one request."""
WAIT = (423, 429, 503)
"""The status codes that mean: wait."""
_LONGEST = 200
_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|auth|sig")
"""Matches names of URL parameters whose values are secret."""


class _Http:
    def __init__(self, url: str) -> None:
        if is_reference(url):
            url = fetch(url, os.environ, "URL to ask").text
        self._url = _parts(url)
        self._shown = f"{self._url.scheme}://{self._url.hostname}{_port(self._url)}{self._url.path}"

    def read(self) -> Measured:
        try:
            status, reason, place = self._answer()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(f"{self._shown} does not answer: {_why(error)}.") from error
        if 200 <= status < 300:
            return Measured(None, of=f"{self._shown} answers {status}")
        if status in WAIT:
            return Measured(None, reason=f"{self._shown} answers {status}" + (f": {reason}" if reason else ""))
        if 300 <= status < 400:
            raise UnreachableError(f"{self._shown} redirects to {place or 'nowhere'}, which is not followed.")
        raise UnreachableError(f"{self._shown} answers {status}; 2xx means go on, 423, 429 and 503 mean wait.")

    def _answer(self) -> tuple[int, str, str]:
        """Return the status, the first line of the body, and the target of a redirect."""
        url = self._url
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=TIMEOUT)
        with _at_most(TIMEOUT, connection):
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("GET", path, headers=_headers(url))
            answer = connection.getresponse()
            place = urlsplit(answer.getheader("Location") or "")
            line = answer.read(_LONGEST).decode(errors="replace").strip().partition("\n")[0]
            return answer.status, " ".join(line.split()), f"{place.netloc.rpartition('@')[2]}{place.path}"


@contextmanager
def _at_most(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """End the request after so many seconds: a timeout of the socket alone begins anew with each byte."""

    late = threading.Event()

    def end() -> None:
        late.set()
        if connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        connection.close()


def _headers(url: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": "batchops", "Connection": "close"}
    if url.username is None:
        return headers
    login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return headers | {"Authorization": f"Basic {b64encode(login).decode()}"}


def _port(url: SplitResult) -> str:
    return "" if url.port is None else f":{url.port}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        right = False
    if not right:
        raise UsageError(
            "What --throttle-http gives is not an http:// or https:// URL.", "env:NAME and file:PATH fetch one."
        )
    return parts


def checked_url(text: str) -> str:
    """Return the text if it is a URL without a password or a reference to a URL; raise ValueError otherwise."""
    if is_reference(text):
        return text
    try:
        parts = _parts(text)
    except UsageError as error:
        raise ValueError(error.message.partition("gives is ")[2]) from None
    if parts.username is not None or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        raise ValueError("a password in the URL would be shown; env:NAME or file:PATH keep it")
    return text


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {TIMEOUT:g} s"
    return getattr(error, "strerror", None) or type(error).__name__


KIND = ThrottleKind(
    name="http",
    text="waits while URL answers 423, 429 or 503; 2xx means go on",
    flag="--throttle-http URL",
    local=_Http,
)
