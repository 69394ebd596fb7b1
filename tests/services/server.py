"""What a service gives, and the order in which the ways to get one are tried."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

START_SECONDS = 60


class UnavailableError(Exception):
    """One way to a server is closed, and why."""


def _nothing() -> None:
    """Servers that we did not start are not ours to stop."""


@dataclass(frozen=True)
class Server:
    """A server that answers; `url` is an administrator's, without a database of its own."""

    name: str
    version: str
    url: str
    origin: str
    stop: Callable[[], None] = _nothing

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


@dataclass(frozen=True)
class Missing:
    """No server, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} missing: {self.reason}"


Found = Server | Missing
Way = Callable[[], Server]


def find(name: str, variable: str, version: Callable[[str], str], *ways: Way) -> Found:
    """The server whose URL the environment variable holds, else the first way that leads to one.

    A URL that was given and does not work is the answer: falling back would test something else.
    """
    if url := os.environ.get(variable):
        try:
            return Server(name, version(url), url, variable)
        except UnavailableError as error:
            return Missing(name, f"{variable}: {error}")
    reasons = []
    for way in ways:
        try:
            return way()
        except UnavailableError as error:
            reasons.append(str(error))
    return Missing(name, "; ".join([f"{variable} is not set", *reasons]))


def answer(version: Callable[[str], str], url: str, alive: Callable[[], bool] = lambda: True) -> str:
    """The version that a server tells as soon as it answers; gives up on one that is dead or too slow."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return version(url)
        except UnavailableError:
            if not alive() or time.monotonic() > end:
                raise
            time.sleep(0.05)
