"""parse() and show(): read durations that people write, like "1h30m", and show them, like "1 h 30 min"."""

import re
from datetime import timedelta

_UNITS_OF = {
    31_536_000.0: "y yr year years",
    2_592_000.0: "mo month months",
    604_800.0: "w wk week weeks",
    86_400.0: "d day days",
    3_600.0: "h hr hour hours",
    60.0: "min m mins minute minutes",
    1.0: "s sec second seconds",
    0.001: "ms millisecond milliseconds",
}
"""The units by their seconds; a year is 365 days, a month 30."""
_SECONDS = {unit: seconds for seconds, units in _UNITS_OF.items() for unit in units.split()}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*")
_UNITS = "ms, s, min, h, d, w, mo (30 days) or y (365 days)"


def parse(text: str) -> timedelta:
    """Return the duration that `text` means, as in 50ms, 1h30m, 90d; ValueError says what is wrong with it."""
    wanted = text.strip().lower()
    if not wanted:
        raise ValueError(f"A duration is empty: write a number and a unit ({_UNITS}), as in 50ms or 90d.")
    if wanted.startswith("-"):
        raise ValueError(f'"{text}" is negative: a duration is 0 or more.')
    try:
        return timedelta(seconds=sum(_parts(text, wanted)))
    except OverflowError:
        raise ValueError(f'"{text}" is too long.') from None


def _parts(text: str, wanted: str) -> list[float]:
    """Return the seconds of each part; each unit must be smaller than the one before, to catch typing errors."""
    seconds: list[float] = []
    smallest, position = float("inf"), 0
    while position < len(wanted):
        part = _PART.match(wanted, position)
        if part is None:
            raise ValueError(f'"{text}" is not a duration: write a number and a unit ({_UNITS}), as in 1h30m or 90d.')
        number, unit = part.groups()
        length = _length(text, number, unit)
        if length >= smallest:
            raise ValueError(f'"{text}" is not a duration: each unit once, the longest first, as in 1h30m.')
        seconds.append(float(number) * length)
        smallest, position = length, part.end()
    return seconds


def _length(text: str, number: str, unit: str) -> float:
    if not unit:
        raise ValueError(f'"{text}" has no unit: write {number}ms, {number}s, {number}min, {number}h or {number}d.')
    if unit not in _SECONDS:
        raise ValueError(f'"{text}": "{unit}" is not a unit; the units are {_UNITS}.')
    return _SECONDS[unit]


def show(duration: timedelta | float) -> str:
    """Return a duration, or seconds, for people, to about three digits: 850 ms, 12.3 s, 1 h 02 min, 3 d 04 h."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    if seconds < 0.0001:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    # Rounded to the smaller of the two units first, so that 59 min 59.9 s is not shown as "59 min 60 s".
    if (whole := round(seconds)) < 3_600:
        return _two(whole, 60, "min", "s")
    if (minutes := round(seconds / 60)) < 1_440:
        return _two(minutes, 60, "h", "min")
    return _two(round(seconds / 3_600), 24, "d", "h")


def _two(smaller: int, ratio: int, large: str, small: str) -> str:
    whole, rest = divmod(smaller, ratio)
    return f"{whole} {large} {rest:02} {small}" if rest else f"{whole} {large}"
