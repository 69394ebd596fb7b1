"""What a job is asked to do: pydantic models from which both flags and recipe keys are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
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
from batchops.db.values import Value
from batchops.errors import UsageError
from batchops.runtime.limits import Window
from batchops.runtime.stop import GRACE
from batchops.spec import parsers
from batchops.spec.messages import validation_message

DATABASE = "Database"
ROWS = "Rows"
STRATEGY = "Strategy"
THROTTLING = "Throttling and limits"
SAFETY = "Safety"
CHANGES = "Changes"
PROGRESS = "Progress"
"""The groups that flags stand in."""


@dataclass(frozen=True)
class Flag:
    """How a field looks on the command line, where its name does not say it all."""

    metavar: str = ""
    group: str = THROTTLING
    several: bool = False
    """Whether it may be repeated."""
    kind: Literal["value", "sql", "program", "unflagged"] = "value"
    """SQL may hold `:name` for a value. SQL and programs stand in a recipe as they are: no parameter fills one.
    What is unflagged only a recipe or the library gives."""


def _known_checks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CHECKS:
            raise ValueError(f'there is no check "{name}"; there are {", ".join(CHECKS)}')
    return names


Duration = Annotated[timedelta, BeforeValidator(parsers.duration)]
Bytes = Annotated[int, BeforeValidator(parsers.size), WithJsonSchema(parsers.SIZE)]
Key = Annotated[tuple[str, ...] | None, BeforeValidator(parsers.names), Flag("A,B", STRATEGY)]
Several = Annotated[tuple[str, ...], BeforeValidator(parsers.several)]
S = TypeVar("S", bound="VerbSpec")
CHECKS = (
    "no-key", "own-table", "scan", "fk-index", "cascades", "triggers", "rls", "nullable-key", "view", "foreign-table",
    "superuser",
)  # fmt: skip
"""The safety checks that --allow overrides, each by its name."""


class VerbSpec(BaseModel):
    """What every verb shares that works on one table in batches: where, how gently, how long."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    table: str = Field(min_length=1)
    params: Annotated[Mapping[str, Value], Flag(kind="unflagged")] = Field(
        {}, description="Values for `:name` in conditions and assignments."
    )
    url: Annotated[str | None, Flag("URL", DATABASE)] = Field(
        None,
        description="Database. Default: BATCHOPS_URL, then DATABASE_URL. env:NAME, file:PATH and cmd:PROGRAM fetch it.",
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


class PayloadSpec(VerbSpec):
    """What the verbs share that read whole rows, to hand them on."""

    max_bytes: Annotated[Bytes, Flag("16MiB")] = Field(
        MOST_BYTES,
        ge=1,
        description="Limit of the rows in memory. A larger row is handled alone. Default: 16MiB.",
    )


class BulkSpec(VerbSpec):
    """What purge and backfill share."""

    key: Key = Field(None, description="Key columns that order the rows. Default: the primary key.")
    where: Annotated[str | None, Flag("SQL", ROWS, kind="sql")] = Field(
        None, description="SQL condition. Time functions are evaluated once, at the start."
    )
    older_than: Annotated[Duration | None, Flag("90d", ROWS)] = Field(
        None, gt=timedelta(0), description="Rows whose --by column is older than this."
    )
    before: Annotated[str | None, BeforeValidator(parsers.moment), Flag("2026-01-31", ROWS)] = Field(
        None, description="Rows whose --by column is before this time, in the time zone of the session."
    )
    by: Annotated[str | None, Flag("COLUMN", ROWS)] = Field(
        None,
        description="Column for --older-than and --before: a date, a time, or a number of seconds, milliseconds … "
        "since 1970.",
    )
    ids: Annotated[str | None, BeforeValidator(parsers.path), Flag("FILE", ROWS)] = Field(
        None,
        min_length=1,
        description="Rows whose key is in FILE: one id in each line, or a CSV whose header names the key. - is stdin.",
    )
    all_rows: Annotated[bool, Flag(group=ROWS)] = Field(False, description="All rows. Replaces a condition.")
    strategy: Annotated[Literal["auto", "key", "index", "block", "limit"], Flag("NAME", STRATEGY)] = Field(
        "auto",
        description="How batches find rows: auto, key, index, block, limit. Default: auto. The plan gives the reason.",
    )
    allow: Annotated[Several, AfterValidator(_known_checks), Flag("NAME", SAFETY, several=True)] = Field(
        (), description=f"Override one safety check. Repeatable: {', '.join(CHECKS)}."
    )
    count: Annotated[bool, Flag(group=SAFETY)] = Field(
        False, description="Count the matching rows before the question. This can take long."
    )
    max_rejected: Annotated[int, Flag("N", SAFETY)] = Field(
        1000,
        ge=0,
        description="Stop when the database has refused more than N rows, or a tenth of at least 1,000 rows.",
    )
    workers: Annotated[int, Flag("N", STRATEGY)] = Field(
        1, ge=1, le=64, description="Worker threads. Default: 1. SQLite always has one."
    )
    ledger: Annotated[str | None, Flag("URL|FILE|none", PROGRESS)] = Field(
        None, description="Where progress is kept. Default: in the target database."
    )
    ledger_schema: Annotated[str | None, Flag("NAME", PROGRESS)] = Field(
        None, description="Schema of the ledger's tables."
    )
    lease: Annotated[Duration, Flag("15s", PROGRESS)] = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="Another process may take over the run after this time without a heartbeat.",
    )
    restart: Annotated[bool, Flag(group=PROGRESS)] = Field(
        False, description="Start from the beginning and ignore earlier runs."
    )
    same_table: Annotated[bool, Flag(group=PROGRESS)] = Field(
        False, description="Continue an earlier run although its table was swapped, renamed, restored or rebuilt."
    )

    @model_validator(mode="after")
    def _which_rows(self) -> Self:
        by_time = self.older_than is not None or self.before is not None
        if self.older_than is not None and self.before is not None:
            raise ValueError("--older-than and --before exclude each other")
        if by_time and self.by is None:
            raise ValueError("--older-than and --before need the column to go by: --by COLUMN")
        if self.by is not None and not by_time:
            raise ValueError("--by needs --older-than or --before")
        if self.all_rows and (by_time or self.where is not None):
            raise ValueError("--all-rows excludes a condition")
        if self.all_rows and self.ids is not None:
            raise ValueError("--all-rows excludes --ids")
        if not (self.all_rows or by_time or self.where is not None or self.ids is not None):
            raise ValueError("which rows? Give --where, --older-than, --before, --ids or, for every row, --all-rows")
        if self.ids is not None and self.strategy != "auto":
            raise ValueError("--ids excludes --strategy: batchops follows the list itself")
        if self.restart and self.same_table:
            raise ValueError("--restart and --same-table exclude each other")
        return self

    def identity(self) -> dict[str, Any]:
        """What makes the job this job and no other, as written."""
        wanted = {
            "where": self.where,
            "older_than": None if self.older_than is None else self.older_than.total_seconds(),
            "before": self.before,
            "by": self.by,
        }
        # Left out where there are none: what runs have kept before there were any goes on being found.
        values = {name: f"{type(value).__name__} {value}" for name, value in sorted(self.params.items())}
        return wanted | ({"params": values} if values else {})


class PurgeSpec(BulkSpec):
    """Delete rows in small transactions."""

    drop_partitions: Annotated[bool, Flag(group=STRATEGY)] = Field(
        False, description="Drop partitions in which every row matches, instead of deleting their rows."
    )
    no_final_pass: Annotated[bool, Flag(group=STRATEGY)] = Field(
        False, description="With the strategy block: make no further pass for rows that moved."
    )

    @model_validator(mode="after")
    def _whole_partitions(self) -> Self:
        if self.drop_partitions and self.ids is not None:
            raise ValueError("--drop-partitions excludes --ids: a partition goes whole")
        return self


class BackfillSpec(BulkSpec):
    """Update rows in small transactions, each at most once."""

    set: Annotated[Several, Flag("'COL = EXPR'", CHANGES, several=True, kind="sql")] = Field(
        min_length=1, description="Column and new value. Repeatable."
    )

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"set": list(self.set)}


def flag_name(field: str) -> str:
    """`older_than` → `--older-than`."""
    return "--" + field.replace("_", "-")


def flagged(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that a person gives, by name."""
    return {name: field for name, field in model.model_fields.items() if flag_of(field).kind != "unflagged"}


def flag_of(field: FieldInfo) -> Flag:
    """The field's Flag."""
    return next((m for m in field.metadata if isinstance(m, Flag)), Flag())


def checked(model: type[S], values: Mapping[str, Any]) -> S:
    """The spec, or a UsageError that names the first wrong flag."""
    try:
        return model(**values)
    except ValidationError as error:
        said = validation_message(error.errors(include_url=False)[0], flag_name)
        raise UsageError(said.text, said.hint) from None
