"""The specs of purge and backfill, and what archive shares with them."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from batchops.bulk.children.edge_text import AskedEdges, declared_edge, edge_choice
from batchops.bulk.children.spec import ChildrenSpec
from batchops.runtime.rate import Rate
from batchops.spec import parsers
from batchops.spec.models import (
    CHANGES,
    CHILDREN,
    MAINTENANCE,
    PROGRESS,
    ROWS,
    SAFETY,
    STRATEGY,
    Duration,
    Flag,
    Key,
    Several,
)
from batchops.spec.throttled import ThrottledSpec
from batchops.spec.typed import StrategyName

CHECKS = (
    "no-key", "own-table", "list-size", "scan", "fk-index", "cascades", "triggers", "rls", "nullable-key", "view",
    "foreign-table", "superuser",
)  # fmt: skip
"""The safety checks that --allow overrides, each by its name; a test compares them with `bulk.plan.checks`."""
STDIN = "-"
"""The FILE of --ids that means stdin."""


def _known_checks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CHECKS:
            raise ValueError(f'there is no check "{name}"; there are {", ".join(CHECKS)}')
    return names


class BulkSpec(ThrottledSpec):
    """What purge and backfill share."""

    default_throttles: ClassVar[bool] = True
    key: Key = Field(None, description="Key columns that order the rows. Default: the primary key.")
    where: Annotated[str | None, Flag("SQL", ROWS, kind="sql")] = Field(
        None, description="SQL condition. Time functions are evaluated once, at the start."
    )
    older_than: Annotated[Duration | None, Flag("90d", ROWS)] = Field(
        None,
        gt=timedelta(0),
        description="Rows whose --by column is older than this: 36h, 90d, 18mo (of 30 days), 2y (of 365).",
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
    strategy: Annotated[StrategyName, Flag("NAME", STRATEGY)] = Field(
        "auto",
        description=f"How batches find rows: {', '.join(get_args(StrategyName))}. Default: auto. The plan gives the "
        "reason.",
    )
    allow: Annotated[Several, AfterValidator(_known_checks), Flag("NAME", SAFETY, several=True)] = Field(
        (), description=f"Override one safety check. Repeatable: {', '.join(CHECKS)}."
    )
    count: Annotated[bool, Flag(group=SAFETY)] = Field(
        False, description="Count the matching rows before the question. This can take long."
    )
    max_bytes_rate: Annotated[Rate | None, BeforeValidator(parsers.bytes_rate), Flag("20MB/s")] = Field(
        None, description="Write no more than this to WAL, binlog or journal, by the plan's estimate for a row."
    )
    analyze: Annotated[bool, Flag(group=MAINTENANCE)] = Field(
        False, description="Run ANALYZE on the table after the last batch."
    )
    vacuum: Annotated[bool, Flag(group=MAINTENANCE)] = Field(
        False, description="Run VACUUM on the table after the last batch. SQLite: the incremental one, in parts."
    )
    max_rejected: Annotated[int, Flag("N", SAFETY)] = Field(
        1000,
        ge=0,
        description="Stop when the database has refused more than N rows, or a tenth of at least 1,000 rows. "
        "Default: 1000.",
    )
    workers: Annotated[int, Flag("N", STRATEGY)] = Field(
        1, ge=1, le=64, description="Worker threads. Default: 1. SQLite always has one."
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
            raise ValueError("--older-than and --before need a time column: --by COLUMN")
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

    @property
    def most_rejected(self) -> int:
        return self.max_rejected

    @property
    def reads_stdin(self) -> bool:
        return self.ids == STDIN

    @property
    def assignments(self) -> tuple[str, ...]:
        """The columns that the job sets, each as "column = expression"."""
        return ()

    @property
    def takes_children(self) -> bool:
        """Whether the rows of other tables that refer to the rows are deleted with them."""
        return False

    @property
    def offers_children(self) -> bool:
        """Whether the job could take --with-children."""
        return False

    @property
    def whole_families(self) -> bool:
        """Whether a row always goes in one transaction with all rows that refer to it, however many."""
        return False

    @property
    def mark_wanted(self) -> str | None:
        """What --mark sets on the rows before they are deleted with their children, as it was written."""
        return None

    @property
    def asked_edges(self) -> AskedEdges:
        """What the user said about the references to the rows."""
        return AskedEdges()

    @property
    def drops_partitions(self) -> bool:
        """Whether partitions in which every row matches are dropped instead."""
        return False

    @property
    def copied_a_second(self) -> float | None:
        """Rows a second that a small idle machine writes elsewhere, to estimate the time; None if rows go nowhere."""
        return None

    @property
    def names_rows(self) -> bool:
        """Whether each row must be identified by its key, because it is looked up again before it is changed."""
        return False

    @property
    def look_again(self) -> bool:
        """Whether a strategy makes a further pass for rows that moved."""
        return True

    def identity(self) -> dict[str, Any]:
        """Return the options that identify the job, as they were written."""
        wanted = {
            "where": self.where,
            "older_than": None if self.older_than is None else self.older_than.total_seconds(),
            "before": self.before,
            "by": self.by,
        }
        # Left out if there are none, so that runs from before there were parameters are still found.
        values = {name: f"{type(value).__name__} {value}" for name, value in sorted(self.params.items())}
        return wanted | ({"params": values} if values else {})


class FamilySpec(ChildrenSpec, BulkSpec):
    """What the verbs share that may delete rows: with the rows that refer to them, or with their whole partition."""

    drop_partitions: Annotated[bool, Flag(group=STRATEGY)] = Field(
        False, description="Drop partitions in which every row matches, instead of deleting their rows."
    )

    @model_validator(mode="after")
    def _whole_partitions(self) -> Self:
        if self.drop_partitions and self.ids is not None:
            raise ValueError("--drop-partitions excludes --ids: a partition is dropped as a whole")
        if self.with_children and self.drop_partitions:
            raise ValueError("--with-children excludes --drop-partitions: a partition is dropped without its children")
        return self

    @property
    def drops_partitions(self) -> bool:
        return self.drop_partitions

    @property
    def takes_children(self) -> bool:
        return self.with_children

    @property
    def offers_children(self) -> bool:
        return True

    @property
    def asked_edges(self) -> AskedEdges:
        return AskedEdges(
            tuple(map(declared_edge, self.child)), self.stop_at, tuple(map(edge_choice, self.edge)), self.params
        )

    def identity(self) -> dict[str, Any]:
        graph = {"child": sorted(self.child), "edge": sorted(self.edge), "stop_at": sorted(self.stop_at)}
        return super().identity() | ({"children": graph} if self.with_children else {})


class PurgeSpec(FamilySpec):
    """Delete rows in small transactions."""

    mark: Annotated[str | None, Flag("'COL = EXPR'", CHILDREN, kind="sql")] = Field(
        None, description="First mark the rows, in a commit of its own, so that others can tell that they go."
    )
    no_final_pass: Annotated[bool, Flag(group=STRATEGY)] = Field(
        False, description="With the strategies block and match: make no further pass for rows that moved."
    )

    @property
    def look_again(self) -> bool:
        return not self.no_final_pass

    @model_validator(mode="after")
    def _marked(self) -> Self:
        if self.mark is not None and not self.with_children:
            raise ValueError("--mark needs --with-children")
        return self

    @property
    def mark_wanted(self) -> str | None:
        return self.mark

    def identity(self) -> dict[str, Any]:
        return super().identity() | ({"mark": self.mark} if self.with_children else {})


class BackfillSpec(BulkSpec):
    """Update rows in small transactions, each at most once."""

    set: Annotated[Several, Flag("'COL = EXPR'", CHANGES, several=True, kind="sql")] = Field(
        min_length=1, description="Column and new value. Repeatable."
    )

    @property
    def assignments(self) -> tuple[str, ...]:
        return self.set

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"set": list(self.set)}
