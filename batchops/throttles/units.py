"""The units of throttles: how a value is shown, and an example of a limit."""

from collections.abc import Callable
from dataclasses import dataclass

from batchops import durations

_PREFIXES = ("", "k", "M", "G", "T", "P")


@dataclass(frozen=True)
class Unit:
    """The unit of a throttle's values."""

    name: str
    example: str
    """A limit in this unit."""
    show: Callable[[float], str]


def shown_number(value: float) -> str:
    """Return a number as text, such as 1,234 or 0.75."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:,.2f}"


def shown_bytes(value: float) -> str:
    """Return bytes as text, such as 12.3 MB."""
    for prefix in _PREFIXES:
        if abs(value) < 999.5 or prefix == _PREFIXES[-1]:
            break
        value /= 1_000
    return f"{value:.3g} {prefix}B"


SHARE = Unit("share", "0.1", shown_number)
FACTOR = Unit("factor", "1.5", shown_number)
NUMBER = Unit("number", "4", shown_number)
SECONDS = Unit("seconds", "10s", durations.show)
BYTES = Unit("bytes", "1GB", shown_bytes)
BYTES_A_SECOND = Unit("bytes per second", "20MB/s", lambda value: f"{shown_bytes(value)}/s")
