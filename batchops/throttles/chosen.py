"""Which throttles a run keeps to, found out before it starts, with a first reading for its plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchops.db.signals import Measured
from batchops.errors import BatchopsError, RefusedError
from batchops.throttles.kind import ThrottleSetting
from batchops.throttles.watch import described_reading


@dataclass(frozen=True)
class ChosenThrottle:
    """A throttle of a plan."""

    setting: ThrottleSetting
    measured: Measured | None = None
    """The first reading."""
    off: str = ""
    """Why it is not watched, and the statement that changes that."""

    @property
    def on(self) -> bool:
        """Whether the run keeps to it."""
        return not self.off and self.setting.limit is not None

    @property
    def text(self) -> str:
        """For people: load: 0.42 (limit 4)."""
        if self.off or self.measured is None:
            return f"{self.setting.kind.name}: off{f' ({self.off})' if self.off else ''}"
        return described_reading(self.setting, self.measured)

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "throttle": self.setting.kind.name,
            "unit": self.setting.kind.unit.name,
            "value": self.measured.value if self.measured else None,
            "of": (self.measured.of or None) if self.measured else None,
            "limit": self.setting.limit,
            "stop": self.setting.stop,
            "on": self.on,
            "off": self.off or None,
        }


def chosen(settings: Sequence[ThrottleSetting]) -> tuple[ChosenThrottle, ...]:
    """The throttles of a run; RefusedError where one that was asked for cannot be read."""
    return tuple(_read(setting) for setting in settings)


def _read(setting: ThrottleSetting) -> ChosenThrottle:
    if setting.limit is None or setting.kind.open is None:
        return ChosenThrottle(setting)
    try:
        return ChosenThrottle(setting, setting.kind.open().read())
    except (BatchopsError, OSError) as error:
        raise RefusedError(f'The throttle "{setting.kind.name}" cannot be read: {error}', "leave it out.") from error
