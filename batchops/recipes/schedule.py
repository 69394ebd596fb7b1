"""When a job of a recipe is due, as the recipe says it."""

from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from batchops import reading
from batchops.specs import Duration


class Schedule(BaseModel):
    """Keys of a job beside the flags of its verb; a job with neither `every` nor `cron` has no schedule."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    every: Duration | None = Field(None, gt=timedelta(0), description="Due at each multiple of that.")
    cron: str | None = Field(None, description="Due when this cron expression says so: minute hour day month weekday.")
    time_zone: Annotated[ZoneInfo | None, BeforeValidator(reading.zone)] = Field(
        None, description="Zone of cron and of window; default: this machine's."
    )
    overlap: Literal["skip", "queue", "parallel"] = Field(
        "skip", description="What becomes of a time at which the job is still at work."
    )
    missed: Literal["once", "skip", "all"] = Field(
        "once", description="What becomes of times at which nobody was there to run it."
    )
    jitter: Duration = Field(timedelta(0), ge=timedelta(0), description="Begin up to that much later, by chance.")
    greatest_lateness: Duration | None = Field(
        None, gt=timedelta(0), description="A time that is past for longer is not run any more."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("every and cron exclude each other")
        return self


SHARED = frozenset({"time_zone"})
"""Keys of a schedule that are a flag as well."""
KEYS = frozenset(Schedule.model_fields) - SHARED
"""Keys of a schedule alone."""
