"""The base classes of specs: pydantic models from which both flags and recipe keys are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

from batchops.db.byte_limit import MOST_BYTES
from batchops.db.literals import Value
from batchops.errors import UsageError, did_you_mean
from batchops.runtime.limits import Window
from batchops.runtime.rate import Rate
from batchops.runtime.stop import GRACE
from batchops.spec import parsers
from batchops.spec.messages import validation_message

DATABASE = "Database"
ROWS = "Rows"
STRATEGY = "Strategy"
THROTTLING = "Throttling and limits"
SAFETY = "Safety"
MAINTENANCE = "After the run"
CHANGES = "Changes"
ARCHIVE = "Archive"
CHILDREN = "Children"
PROGRESS = "Progress"
"""The groups of flags in the help."""


@dataclass(frozen=True)
class Flag:
    """How a field appears on the command line, as far as its name does not say it."""

    metavar: str = ""
    group: str = THROTTLING
    several: bool = False
    """Whether the flag may be repeated."""
    kind: Literal["value", "sql", "program", "unflagged"] = "value"
    """A field of kind "sql" may hold `:name` for a value. A recipe's parameters are not filled into SQL and programs.
    An "unflagged" field has no flag: only a recipe or the library sets it."""


Duration = Annotated[timedelta, BeforeValidator(parsers.duration)]
Bytes = Annotated[int, BeforeValidator(parsers.size), WithJsonSchema(parsers.SIZE)]
Key = Annotated[tuple[str, ...] | None, BeforeValidator(parsers.names), Flag("A,B", STRATEGY)]
Several = Annotated[tuple[str, ...], BeforeValidator(parsers.several)]
S = TypeVar("S", bound=BaseModel)


class VerbSpec(BaseModel):
    """The fields of every verb that works on one table in batches: the database, the pacing and the limits."""

    # Deferred: a command uses one of the specs. To build the validators of all takes a twentieth of its start.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    argument: ClassVar[str] = "table"
    """The field that is the command's argument and has no flag."""
    table: str = Field(min_length=1)
    params: Annotated[Mapping[str, Value], Flag(kind="unflagged")] = Field(
        {}, description="Values for `:name` in conditions and assignments."
    )
    url: Annotated[str | None, Flag("URL", DATABASE)] = Field(
        None,
        description="Database. Default: BATCHOPS_URL, then DATABASE_URL. env:NAME, file:PATH and cmd:PROGRAM fetch it.",
    )
    engine: Annotated[sa.Engine | None, Flag(kind="unflagged")] = Field(
        None, description="The library's other way to name the database. Its URL is used, its connections are not."
    )
    batch_size: Annotated[int | None, Flag("N")] = Field(
        None, ge=1, le=1_000_000, description="Fixed number of rows for each batch. Default: adapted to --target-time."
    )
    target_time: Annotated[Duration, Flag("50ms")] = Field(
        timedelta(milliseconds=50),
        gt=timedelta(0),
        description="Time that a batch aims to take.",
        validate_default=True,
    )
    sleep: Annotated[Duration, Flag("100ms")] = Field(
        timedelta(0), ge=timedelta(0), description="Pause after each batch."
    )
    nice: Annotated[float, Flag("1.0")] = Field(
        0.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="Pause after each batch this many times as long as it took.",
    )
    max_rate: Annotated[Rate | None, BeforeValidator(parsers.rate), Flag("5000/s")] = Field(
        None, description="Change no more rows than this, all workers of this process together."
    )
    max_rows: Annotated[int | None, Flag("N")] = Field(
        None, ge=1, description="End after N changed rows. Never exceeded."
    )
    max_time: Annotated[Duration | None, Flag("30min")] = Field(
        None, gt=timedelta(0), description="End after this time."
    )
    max_batches: Annotated[int | None, Flag("N")] = Field(None, ge=1, description="End after N batches.")
    window: Annotated[Window | None, BeforeValidator(parsers.window), Flag("22:00-06:00")] = Field(
        None, description="Work only during these hours. Their end ends the run."
    )
    time_zone: Annotated[ZoneInfo | None, BeforeValidator(parsers.zone), Flag("ZONE")] = Field(
        None, description="Time zone of --window. Default: the zone of this host."
    )
    wait: Annotated[bool, Flag()] = Field(False, description="Wait until --window opens.")
    lock_timeout: Annotated[Duration, Flag("5s")] = Field(
        timedelta(seconds=5),
        gt=timedelta(0),
        description="Longest wait for a row lock of another session.",
    )
    statement_timeout: Annotated[Duration, Flag("60s")] = Field(
        timedelta(seconds=60), gt=timedelta(0), description="Longest time for one statement."
    )
    retry_timeout: Annotated[Duration, Flag("2min")] = Field(
        timedelta(minutes=2),
        ge=timedelta(0),
        description="How long to retry one batch after temporary errors.",
    )
    grace: Annotated[Duration, Flag("20s")] = Field(
        timedelta(seconds=GRACE),
        ge=timedelta(0),
        description="How long the current batch may take after a request to stop.",
        validate_default=True,
    )

    ledger: Annotated[str | None, Flag("URL|FILE|none", PROGRESS)] = Field(
        None, description="Where runs and their progress are kept. Default: in the target database."
    )
    ledger_schema: Annotated[str | None, Flag("NAME", PROGRESS)] = Field(
        None, description="Schema of the ledger's tables."
    )

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if self.engine is not None and self.url is not None:
            raise ValueError("engine and url exclude each other")
        return self

    @property
    def reads_stdin(self) -> bool:
        """Whether the job reads stdin, so that no question can be answered there."""
        return False

    @property
    def writes_stdout(self) -> bool:
        """Whether the job writes its own output to stdout, so that nothing else may be written there."""
        return False

    @property
    def runs_user_code(self) -> bool:
        """Whether the user's own code runs in this process, which may print."""
        return False

    @property
    def most_rejected(self) -> int | None:
        """The number of refused rows after which the run ends; None: no limit."""
        return None

    @property
    def stays_up(self) -> bool:
        """Whether the job continues when there is nothing to do."""
        return False


class PayloadSpec(VerbSpec):
    """The fields of verbs that read whole rows, to pass them on."""

    max_bytes: Annotated[Bytes, Flag("16MiB")] = Field(
        MOST_BYTES,
        ge=1,
        description="Limit of the rows in memory. A larger row is handled alone. Default: 16MiB.",
    )


def flag_name(field: str) -> str:
    """Return the flag of a field: `older_than` → `--older-than`."""
    return "--" + field.replace("_", "-")


def flagged(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields that have a flag or are the argument, by name."""
    return {name: field for name, field in model.model_fields.items() if flag_of(field).kind != "unflagged"}


def flag_of(field: FieldInfo) -> Flag:
    """Return the Flag of a field."""
    return next((m for m in field.metadata if isinstance(m, Flag)), Flag())


def checked(model: type[S], values: Mapping[str, Any]) -> S:
    """Return the spec; raise UsageError, which names the first wrong flag, if a value is wrong."""
    for name in values:
        if name not in model.model_fields:
            guess = did_you_mean(name, model.model_fields).replace("did", "; did", 1)
            raise UsageError(f'unknown option "{name}"{guess}')
    try:
        return model(**values)
    except ValidationError as error:
        message = validation_message(error.errors(include_url=False)[0], flag_name)
        raise UsageError(message.text, message.hint) from None
