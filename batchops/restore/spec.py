"""The spec of restore."""

from datetime import timedelta
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from batchops.db.row_loading import OnConflict
from batchops.ledger.location import NONE
from batchops.spec import parsers
from batchops.spec.models import CHANGES, PROGRESS, ROWS, SAFETY, Duration, Flag
from batchops.spec.throttled import ThrottledSpec


class RestoreSpec(ThrottledSpec):
    """Put archived rows back in small transactions."""

    argument: ClassVar[str] = "destination"
    default_throttles: ClassVar[bool] = True
    destination: Annotated[str, BeforeValidator(parsers.path)] = Field(min_length=1)
    table: Annotated[str, Flag("NAME", ROWS)] = Field(
        "", description="The archived table. Default: all, each behind those that its rows refer to."
    )
    of_run: Annotated[int | None, Flag("N", ROWS)] = Field(
        None, ge=1, description="Only rows that this run archived. Default: those of every run."
    )
    where: Annotated[str | None, Flag("SQL", ROWS, kind="sql")] = Field(
        None, description="SQL condition over the archived rows, with the columns' names alone."
    )
    into: Annotated[str | None, Flag("NAME", CHANGES)] = Field(
        None, min_length=1, description="The table that takes the rows; a new one is created. Default: the same name."
    )
    target_time: Annotated[Duration, Flag("200ms")] = Field(
        timedelta(milliseconds=200),  # longer than elsewhere: no other session waits for rows that are new to it
        gt=timedelta(0),
        description="Time that a batch aims to take.",
        validate_default=True,
    )
    on_conflict: Annotated[OnConflict, Flag("fail|skip|replace", CHANGES)] = Field(
        "fail", description="What happens to a row whose key is in the table already. Default: fail."
    )
    drop_columns: Annotated[bool, Flag(group=CHANGES)] = Field(
        False, description="Leave out archived columns that the table does not have."
    )
    max_rejected: Annotated[int, Flag("N", SAFETY)] = Field(
        1000, ge=0, description="Stop when the database has refused more than N rows. Default: 1000."
    )
    lease: Annotated[Duration, Flag("15s", PROGRESS)] = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="Another process may take over the run after this time without a heartbeat.",
    )
    restart: Annotated[bool, Flag(group=PROGRESS)] = Field(
        False, description="Start from the beginning and ignore earlier runs."
    )

    @model_validator(mode="after")
    def _repeatable(self) -> Self:
        if self.ledger is not None and self.on_conflict == "fail":
            what = "keeps no progress" if self.ledger == NONE else "commits rows and progress apart"
            raise ValueError(
                f"--ledger {self.ledger} {what}, so that a batch may be repeated: --on-conflict skip or replace"
            )
        return self

    @property
    def most_rejected(self) -> int:
        return self.max_rejected
