"""settings(): the throttles that flags name, like `--throttle NAME=LIMIT,stop=LIMIT`, and the default ones."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from batchops import durations
from batchops.errors import nearest
from batchops.spec import parsers
from batchops.throttles import THROTTLES
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.units import BYTES, BYTES_A_SECOND, SECONDS

OFF = "off"
SEE = "`batchops help throttling` lists them"


def settings(texts: Sequence[str], more: Mapping[str, str | None]) -> tuple[ThrottleSetting, ...]:
    """Return the throttles that the flags name, then the default ones that they do not name; raise ValueError for a
    mistake. `texts`: the values of --throttle; `more`: the values of throttles' own flags, by throttle name."""
    own = [(kind, more.get(kind.name)) for kind in THROTTLES]
    asked = (*map(setting, texts), *(ThrottleSetting(kind, argument=text) for kind, text in own if text is not None))
    names = [one.kind.name for one in asked]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is given twice')
    defaults = [kind for kind in THROTTLES if kind.by_default and kind.name not in names]
    return (*asked, *(ThrottleSetting(kind, kind.limit, asked=False) for kind in defaults))


def live_limits(texts: Sequence[str]) -> dict[str, str]:
    """Return the limits that `batchops set` sets, as text by throttle name; raise ValueError for a mistake."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, limits = (part.strip() for part in text.partition("="))
        if name in found:
            raise ValueError(f'"{name}" is given twice')
        live_setting(name, limits)
        found[name] = limits
    return found


def live_setting(name: str, limits: str) -> ThrottleSetting:
    """Return a setting for a running job; a throttle with its own flag can only be turned off. Raises ValueError."""
    kind = next((kind for kind in THROTTLES if kind.name == name), None)
    if kind is not None and kind.flag and limits == OFF:
        return ThrottleSetting(kind, None)
    return setting(f"{name}={limits}" if limits else name)


def setting(text: str) -> ThrottleSetting:
    """Return the setting that a text like `load=4,stop=8` means; ValueError says what is wrong with it."""
    named, _, stop = (part.strip() for part in text.partition(","))
    name, equals, limit = (part.strip() for part in named.partition("="))
    kind = next((kind for kind in THROTTLES if kind.name == name), None)
    if kind is None:
        near = nearest(name, [kind.name for kind in THROTTLES])
        raise ValueError(f'there is no throttle "{name}"; ' + (f'did you mean "{near}"?' if near else SEE))
    if kind.flag:
        raise ValueError(f'the throttle "{name}" has a flag of its own: {kind.flag}')
    if limit == OFF and not stop:
        return ThrottleSetting(kind, None)
    if not equals and kind.limit is None:
        raise ValueError(f'"{name}" needs a limit, like {name}={kind.unit.example}')
    waits = kind.limit if not equals else _limit(kind, limit)
    return ThrottleSetting(kind, waits, _stop(kind, stop, waits) if stop else None)


def _stop(kind: ThrottleKind, text: str, waits: float | None) -> float:
    word, equals, limit = (part.strip() for part in text.partition("="))
    if word != "stop" or not equals:
        raise ValueError(f'"{text}" is not like stop={kind.unit.example}')
    value = _limit(kind, limit)
    if waits is not None and (value >= waits if kind.below else value <= waits):
        raise ValueError(f"stop={limit} must be {'less' if kind.below else 'more'} than the limit at which it waits")
    return value


def _limit(kind: ThrottleKind, text: str) -> float:
    if kind.unit is SECONDS:
        found = durations.parse(text)
        assert isinstance(found, timedelta)
        return found.total_seconds()
    if kind.unit is BYTES_A_SECOND and text.endswith("/s"):
        text = text.removesuffix("/s")
    if kind.unit in (BYTES, BYTES_A_SECOND):
        if re.fullmatch(r"[\d.]+", text):
            raise ValueError(f'"{text}" has no unit: write {text}MB or {text}GB')
        return float(str(parsers.size(text)))
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f'"{text}" is not a number, like {kind.unit.example}')
    return float(text)
