"""Fire times: intervals since 1970, and cron expressions on the wall clock of a time zone.

Moments are whole seconds since 1970. The rule for the nights on which the clock is changed:

- An expression that names hours fires once for each time that it names. If the clock skips a time, it fires at the
  first moment after the skip; if a time occurs twice, it fires the first time.
- An expression for every hour fires whenever the clock shows such a time: also the second time, so that elapsed time
  decides, and not at all for a time that is skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from batchops import durations

MINUTE = 60
SCAN = 4 * 60
"""How many minutes are checked one by one: more than any clock has ever been put back."""
WEEK = 7 * 86_400
NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
"""The names of times in crontab(5), except @reboot, which is not a time."""


class FireTimes(Protocol):
    """The times at which a schedule fires."""

    def after(self, moment: int) -> int:
        """Return the first fire after `moment`."""

    def mark(self, moment: int) -> str:
        """Return how a change of the clock affects this fire, in words; empty for most fires."""


@dataclass(frozen=True)
class Every:
    """Multiples of an interval since 1970, so that all schedulers agree on them, whenever they started."""

    seconds: int

    def __str__(self) -> str:
        return f"every {durations.show(float(self.seconds))}"

    def after(self, moment: int) -> int:
        return (moment // self.seconds + 1) * self.seconds

    def mark(self, moment: int) -> str:  # noqa: ARG002  intervals use no wall clock
        return ""


def every(interval: timedelta) -> Every:
    """Return the fire times of an interval; raise ValueError if it is not whole seconds."""
    seconds = interval.total_seconds()
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f'"{durations.show(interval)}" is not an interval: whole seconds, at least one')
    return Every(int(seconds))


@dataclass(frozen=True)
class Cron:
    """Five fields of cron, on the wall clock of `zone`; made by `cron`, which checks them."""

    expression: str
    zone: ZoneInfo

    def __str__(self) -> str:
        return f'cron "{self.expression}" {self.zone.key}'

    def after(self, moment: int) -> int:
        return self._after_by_elapsed(moment) if self._every_hour else self._after_by_name(moment)

    def mark(self, moment: int) -> str:
        local = self._local(moment)
        wall = f"{local:%H:%M}"
        if not self._shows(local):
            return "clock put forward: the time does not exist"
        if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
            return f"clock put back: the {'second' if local.fold else 'first'} {wall}"
        return ""

    @cached_property
    def _fields(self) -> CronSim:
        return CronSim(self.expression, datetime(2000, 1, 1))

    @cached_property
    def _every_hour(self) -> bool:
        return len(self._fields.hours) == 24

    def _local(self, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, self.zone)

    def _shows(self, local: datetime) -> bool:
        """Whether the wall clock shows a time of the expression."""
        fields = self._fields
        hits = local.minute in fields.minutes and local.hour in fields.hours and local.month in fields.months
        return hits and fields.match_day(local.date())

    def _named(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after `after` that the expression names, without a zone: cronsim's own handling of zones
        misses times where the clock is changed by half an hour (Lord Howe)."""
        return CronSim(self.expression, after.replace(tzinfo=None))

    def _after_by_name(self, moment: int) -> int:
        return next(at for named in self._named(self._local(moment)) if (at := self._first(named)) > moment)

    def _first(self, named: datetime) -> int:
        """Return the moment at which the clock first shows this time, or a later one if it skips this one."""
        there = named.replace(tzinfo=self.zone)
        at = int(there.timestamp())
        if self._local(at).replace(tzinfo=None) == named:
            return at
        # With the offset before the skip the time lies after the skip; with the offset after it, before the skip.
        later, earlier = at, int(named.replace(tzinfo=self.zone, fold=1).timestamp())
        return _leap(self.zone, min(earlier, later), max(earlier, later))

    def _after_by_elapsed(self, moment: int) -> int:
        start = moment - moment % MINUTE
        for minute in range(start + MINUTE, start + SCAN * MINUTE, MINUTE):
            if self._shows(self._local(minute)):
                return minute
        # If the clock shows a time twice from here on, its first showing is also from here on, or was found above.
        for named in self._named(self._local(minute)):
            at = int(named.replace(tzinfo=self.zone).timestamp())
            if self._local(at).replace(tzinfo=None) == named:
                return at
        raise AssertionError("cron() has made sure of it")


def crontab(text: str, zone: ZoneInfo) -> FireTimes:
    """Return the fire times of what crontab(5) allows: five fields, a name such as @daily; also `@every 20s`.

    ValueError says what is wrong with the text.
    """
    name, _, interval = text.strip().lower().partition(" ")
    if name == "@every":
        return every(durations.parse(interval))
    if name.startswith("@") and text.strip().lower() not in NAMED:
        raise ValueError(f'"{text}" is not the name of a time; there are {", ".join(NAMED)} and @every 20s')
    return cron(NAMED.get(name, text), zone)


def cron(expression: str, zone: ZoneInfo) -> Cron:
    """Return the expression on the clock of that zone; ValueError says what is wrong with it."""
    if len(expression.split()) != 5:
        raise ValueError(f'"{expression}" has not the five fields of cron: minute, hour, day, month, day of the week')
    try:
        CronSim(expression, datetime(2000, 1, 1)).__next__()
    except CronSimError as error:
        raise ValueError(f'"{expression}" is not a cron expression: {str(error).lower()}') from None
    except StopIteration:
        raise ValueError(f'"{expression}" never fires') from None
    return Cron(" ".join(expression.split()), zone)


def due(times: FireTimes, after: int, upto: int, most: int) -> list[int]:
    """Return the newest `most` fires in (after, upto], oldest first; only those of the last week, if there are any."""
    recent = list(_between(times, max(after, upto - WEEK), upto))
    return (recent or list(_between(times, after, upto)))[-most:]


def _between(times: FireTimes, after: int, upto: int) -> Iterator[int]:
    at = times.after(after)
    while at <= upto:
        yield at
        at = times.after(at)


def _leap(zone: ZoneInfo, before: int, behind: int) -> int:
    """Return the first moment after a change of the clock that lies between the two moments."""
    offset = _offset(zone, before)
    while behind - before > 1:
        middle = (before + behind) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            behind = middle
    return behind


def _offset(zone: ZoneInfo, moment: int) -> timedelta | None:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset()
