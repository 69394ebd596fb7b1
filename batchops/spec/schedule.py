"""RecipeSchedule: the keys of a recipe that say when a job is due."""

from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from batchops.spec import parsers, times
from batchops.spec.models import Duration

UTC = ZoneInfo("UTC")


def _interval(value: timedelta) -> timedelta:
    times.every(value)
    return value


def _expression(value: str) -> str:
    """Return the expression in one form, so that the same times, written differently, are equal."""
    due = times.crontab(value, UTC)
    return due.expression if isinstance(due, times.Cron) else " ".join(value.lower().split())


class RecipeSchedule(BaseModel):
    """Keys of a job beside the flags of its verb; a job with neither `every` nor `cron` has no schedule."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    every: Annotated[Duration, AfterValidator(_interval)] | None = Field(
        None, description="Due at each multiple of this duration since 1970."
    )
    cron: Annotated[str, AfterValidator(_expression)] | None = Field(
        None,
        description="Due at the times of this cron expression: minute hour day month weekday, or @daily and the like.",
    )
    time_zone: Annotated[ZoneInfo | None, BeforeValidator(parsers.zone)] = Field(
        None, description="Time zone of cron (default: UTC) and of window (default: the zone of this host)."
    )
    overlap: Literal["skip", "queue", "parallel"] = Field(
        "skip", description="What to do if the job is still running at the next fire."
    )
    missed: Literal["once", "skip", "all"] = Field(
        "once", description="What to do with fires that were missed while no scheduler ran."
    )
    jitter: Duration = Field(timedelta(0), ge=timedelta(0), description="Random delay up to this duration.")
    misfire_grace_time: Duration | None = Field(
        None, gt=timedelta(0), description="A fire that is later than this is not run."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("every and cron exclude each other")
        interval = self._period()
        if interval is not None and isinstance(self.jitter, timedelta) and self.jitter >= interval:
            raise ValueError("jitter must be shorter than the interval")
        return self

    def _period(self) -> timedelta | None:
        """Return the interval, if there is a fixed one; a field that failed its own check holds the user's text."""
        if self.cron is None:
            return self.every if isinstance(self.every, timedelta) else None
        with suppress(ValueError):
            due = times.crontab(self.cron, UTC)
            return timedelta(seconds=due.seconds) if isinstance(due, times.Every) else None
        return None

    @property
    def times(self) -> times.FireTimes:
        """The fire times."""
        if self.every is not None:
            return times.every(self.every)
        assert self.cron is not None  # a job with neither has no schedule
        return times.crontab(self.cron, self.time_zone or UTC)


SHARED = frozenset({"time_zone"})
"""The keys of a schedule that are also flags of verbs."""
KEYS = frozenset(RecipeSchedule.model_fields) - SHARED
"""The keys that only a schedule has."""
