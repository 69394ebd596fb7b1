"""What a drain is asked to do."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from batchops.spec.models import ROWS, Duration, Flag, Key, PayloadSpec, Several

WORK = "Changes"
CLAIMS = "Claims and attempts"
HANDLERS = ("call", "exec", "exec_batch", "post")


class DrainSpec(PayloadSpec):
    """Hand pending rows to a handler, in batches, by any number of workers."""

    key: Key = Field(None, description="Columns that identify and order the rows; default: the primary key.")
    where: Annotated[str, Flag("SQL", ROWS, kind="sql")] = Field(
        min_length=1, description="Which rows are pending; the database evaluates its time functions at each claim."
    )
    order: Annotated[str | None, Flag("A,B DESC", ROWS)] = Field(
        None, description="Columns that say which row comes first, also with NULLS FIRST or LAST; default: the key."
    )
    by: Annotated[str | None, Flag("COLUMN", ROWS)] = Field(
        None, description="The time column that tells how old a row is."
    )
    call: Annotated[str | None, Flag("MODULE:FUNCTION", WORK, kind="program")] = Field(
        None, description="A Python function (rows) or (rows, connection), the latter inside the transaction."
    )
    exec: Annotated[str | None, Flag("'PROGRAM ARGS'", WORK, kind="program")] = Field(
        None, description="A program run once a row, JSON on its stdin; no shell."
    )
    exec_batch: Annotated[str | None, Flag("'PROGRAM ARGS'", WORK, kind="program")] = Field(
        None, description="A program that stays up: a JSON line in, a line out for each row, with its key."
    )
    post: Annotated[str | None, Flag("URL", WORK)] = Field(
        None,
        description="Each row as JSON by HTTP POST; 2xx is done. env:NAME, file:PATH fetch it. Needs the extra http.",
    )
    set: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="The work done in SQL; may be repeated."
    )
    done: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="What marks a row as done; may be repeated."
    )
    delete: Annotated[bool, Flag(group=WORK)] = Field(False, description="Delete a row that is done.")
    failed: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="What marks a row that is given up on; default: it stays as it is, and is not tried again."
    )
    claimed: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (),
        description="What marks a row while it is leased; a row that is not done gets its old values back.",
    )
    workers: Annotated[int, Flag("N")] = Field(
        1, ge=1, le=64, description="Workers in this process; any number of processes may share a table."
    )
    lease_in: Annotated[Literal["auto", "columns", "table", "none"], Flag("columns|table|none", CLAIMS)] = Field(
        "auto",
        description="Where it stands who holds a row: columns of the table, the table batchops_row_lease, or the row "
        "lock alone. Default: what `batchops queue init` has made.",
    )
    lease_prefix: Annotated[str, Flag("PREFIX", CLAIMS)] = Field(
        "",
        pattern=r"^(?:[A-Za-z_][A-Za-z0-9_]{0,30})?$",
        description="How the names of the lease's columns begin, as batchops_; needed where the table has columns of "
        "such names of its own. Default: lease, attempts … without one.",
    )
    lease: Annotated[Duration, Flag("30s", CLAIMS)] = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="How long a row's worker may be without a heartbeat before another worker may take the row.",
        validate_default=True,
    )
    deadline: Annotated[Duration, Flag("5min", CLAIMS)] = Field(
        timedelta(minutes=5), gt=timedelta(0), description="Longest a batch may be worked on.", validate_default=True
    )
    max_attempts: Annotated[int, Flag("N", CLAIMS)] = Field(
        5, ge=1, le=10_000, description="Attempts after which a row is given up on. Default: 5."
    )
    backoff: Annotated[Duration, Flag("5s", CLAIMS)] = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="Backoff before the second attempt; doubles each time, with jitter.",
        validate_default=True,
    )
    poll: Annotated[Duration | None, Flag("10s", CLAIMS)] = Field(
        None, gt=timedelta(0), description="Stay up, and look for work at least that often."
    )
    listen: Annotated[str | None, Flag("CHANNEL", CLAIMS)] = Field(
        None, description="PostgreSQL: a NOTIFY on this channel wakes a drain that sleeps under --poll."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.done) == self.delete:
            raise ValueError("what becomes of a row that is done? Give --done or --delete, one of the two")
        if len(self.handlers) > 1:
            raise ValueError(f"{self.handlers[0]} and {self.handlers[1]} exclude each other")
        if self.delete and self.set:
            raise ValueError("--set has no effect on a row that --delete then removes")
        if self.claimed and self.lease_in == "none":
            raise ValueError("--claimed needs leases: nobody sees a mark before the transaction of a row lock ends")
        if self.listen is not None and self.poll is None:
            raise ValueError("--listen needs --poll: notifications may be lost, so polling is the truth")
        return self

    @property
    def handlers(self) -> list[str]:
        """The flags that say who does the work; one of them, or none."""
        return ["--" + n.replace("_", "-") for n in (*HANDLERS, "set") if getattr(self, n)]
