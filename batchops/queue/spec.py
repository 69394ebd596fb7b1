"""The spec of drain."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from batchops.spec.models import (
    ROWS,
    Duration,
    Flag,
    Key,
    PayloadSpec,
    Several,
)
from batchops.spec.throttled import ThrottledSpec

WORK = "Changes"
CLAIMS = "Leases and retries"
HANDLERS = ("call", "exec", "exec_batch", "post")


class DrainSpec(PayloadSpec, ThrottledSpec):
    """Hand pending rows to a handler, by any number of workers."""

    key: Key = Field(None, description="Key columns that order the rows. Default: the primary key.")
    where: Annotated[str, Flag("SQL", ROWS, kind="sql")] = Field(
        min_length=1,
        description="SQL condition of the pending rows. Time functions are evaluated at each claim.",
    )
    order: Annotated[str | None, Flag("A,B DESC", ROWS)] = Field(
        None, description="Columns that order the claims, also with NULLS FIRST or LAST. Default: the key."
    )
    by: Annotated[str | None, Flag("COLUMN", ROWS)] = Field(
        None, description="Time column that gives the age of a row."
    )
    call: Annotated[str | None, Flag("MODULE:FUNCTION", WORK, kind="program")] = Field(
        None,
        description="Python function: (rows) for a batch, (row) for each row; a second parameter, connection, puts it "
        "inside the finalising transaction.",
    )
    exec: Annotated[str | None, Flag("'PROGRAM ARGS'", WORK, kind="program")] = Field(
        None, description="Program that runs once for each row, with JSON on its stdin. No shell."
    )
    exec_batch: Annotated[str | None, Flag("'PROGRAM ARGS'", WORK, kind="program")] = Field(
        None, description="Program that keeps running: one JSON line in and one line out for each row, with its key."
    )
    post: Annotated[str | None, Flag("URL", WORK)] = Field(
        None,
        description="Sends each row as JSON by HTTP POST. 2xx is done. env:NAME and file:PATH fetch the URL. Needs the "
        "extra http.",
    )
    set: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="The work in SQL. Repeatable."
    )
    done: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="Marks a row as done. Repeatable."
    )
    delete: Annotated[bool, Flag(group=WORK)] = Field(False, description="Delete rows that are done.")
    failed: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (), description="Marks a row that is given up. Default: the row stays unchanged and is not tried again."
    )
    claimed: Annotated[Several, Flag("'COL = EXPR'", WORK, several=True, kind="sql")] = Field(
        (),
        description="Marks a row while it is leased. A row that is not done gets its old values back.",
    )
    workers: Annotated[int, Flag("N")] = Field(
        1, ge=1, le=64, description="Worker threads in this process. Any number of processes can share a table."
    )
    lease_in: Annotated[Literal["auto", "columns", "table", "none"], Flag("columns|table|none", CLAIMS)] = Field(
        "auto",
        description="Where leases are kept: columns of the table, the table batchops_row_lease, or row locks alone. "
        "Default: what `batchops queue init` created.",
    )
    lease_prefix: Annotated[str, Flag("PREFIX", CLAIMS)] = Field(
        "",
        pattern=r"^(?:[A-Za-z_][A-Za-z0-9_]{0,30})?$",
        description="Prefix of the lease columns, such as batchops_. Needed if the table uses their names for other "
        "columns. Default: no prefix.",
    )
    lease: Annotated[Duration, Flag("30s", CLAIMS)] = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="Another worker may take the row after this time without a heartbeat.",
        validate_default=True,
    )
    deadline: Annotated[Duration, Flag("5min", CLAIMS)] = Field(
        timedelta(minutes=5), gt=timedelta(0), description="Longest time for one batch.", validate_default=True
    )
    max_attempts: Annotated[int, Flag("N", CLAIMS)] = Field(
        5, ge=1, le=10_000, description="Attempts before a row is given up. Default: 5."
    )
    backoff: Annotated[Duration, Flag("5s", CLAIMS)] = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="Pause before the second attempt. It doubles each time, with jitter.",
        validate_default=True,
    )
    poll: Annotated[Duration | None, Flag("10s", CLAIMS)] = Field(
        None, gt=timedelta(0), description="Keep running, and look for work at least this often."
    )
    listen: Annotated[str | None, Flag("CHANNEL", CLAIMS)] = Field(
        None, description="PostgreSQL: a NOTIFY on this channel wakes a drain that waits under --poll."
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
    def runs_user_code(self) -> bool:
        return any((self.call, self.exec, self.exec_batch))

    @property
    def stays_up(self) -> bool:
        return self.poll is not None

    @property
    def handlers(self) -> list[str]:
        """Return the given flags that name a handler: one or none in a valid spec."""
        return ["--" + n.replace("_", "-") for n in (*HANDLERS, "set") if getattr(self, n)]
