"""The library's options for type checkers: the fields of the specs, with the types that callers may pass."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Literal, Required, TypedDict
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from batchops.db.literals import Value
from batchops.runtime.limits import Window
from batchops.runtime.rate import Rate

Duration = timedelta | str
"""A duration; text is read as on the command line: 50ms, 90d."""
StrategyName = Literal["auto", "key", "block", "match", "list", "limit"]
"""The strategies that --strategy takes; a test compares them with the registry of strategies."""


class RunOptions(TypedDict, total=False):
    """The options of every verb besides its table."""

    params: Mapping[str, Value]
    """Values for `:name` in conditions and assignments."""
    url: str | None
    engine: Engine | None
    """Instead of `url`: its URL is used, its connections are not."""
    batch_size: int | None
    target_time: Duration
    sleep: Duration
    nice: float
    max_rate: Rate | str | None
    max_rows: int | None
    max_time: Duration | None
    max_batches: int | None
    window: Window | str | None
    time_zone: ZoneInfo | str | None
    wait: bool
    lock_timeout: Duration
    statement_timeout: Duration
    retry_timeout: Duration
    grace: Duration
    ledger: str | None
    ledger_schema: str | None


class VerbOptions(RunOptions, total=False):
    """The options of every verb that works on a table."""

    table: Required[str]


class ThrottleOptions(TypedDict, total=False):
    """The options that make a run wait."""

    throttle: Sequence[str] | str
    throttle_file: str | PathLike[str] | None
    throttle_query: str | None
    throttle_http: str | None
    replica: Sequence[str] | str
    budget: str | None
    throttle_timeout: Duration


class ThrottledOptions(VerbOptions, ThrottleOptions, total=False):
    """The options of verbs that wait for throttles."""


class BulkOptions(ThrottledOptions, total=False):
    """The options that purge, archive and backfill share."""

    key: Sequence[str] | str | None
    where: str | None
    older_than: Duration | None
    before: str | None
    by: str | None
    ids: str | PathLike[str] | None
    all_rows: bool
    strategy: StrategyName
    allow: Sequence[str] | str
    count: bool
    max_bytes_rate: Rate | str | None
    analyze: bool
    vacuum: bool
    max_rejected: int
    workers: int
    lease: Duration
    restart: bool
    same_table: bool


class FamilyOptions(BulkOptions, total=False):
    """The options of verbs that may process rows together with the rows that refer to them."""

    with_children: bool
    child: Sequence[str] | str
    edge: Sequence[str] | str
    stop_at: Sequence[str] | str
    drop_partitions: bool
    max_total: int | None


class PurgeOptions(FamilyOptions, total=False):
    """Options of `purge`."""

    mark: str | None
    no_final_pass: bool


class ArchiveOptions(FamilyOptions, total=False):
    """Options of `archive`."""

    to: Required[str | PathLike[str]]
    format: Literal["parquet", "jsonl", "csv"]
    columns: Sequence[str] | str | None
    keep: bool
    segment_size: int | str


class BackfillOptions(BulkOptions, total=False):
    """Options of `backfill`."""

    set: Required[Sequence[str] | str]


class PayloadOptions(VerbOptions, total=False):
    """The options that drain, relay and replay share."""

    max_bytes: int | str


class DrainOptions(PayloadOptions, ThrottledOptions, total=False):
    """Options of `drain`; without a `handler` one of call, exec, exec_batch, post and set is required."""

    key: Sequence[str] | str | None
    where: Required[str]
    order: str | None
    by: str | None
    call: str | None
    exec: str | None
    exec_batch: str | None
    post: str | None
    set: Sequence[str] | str
    done: Sequence[str] | str
    delete: bool
    failed: Sequence[str] | str
    claimed: Sequence[str] | str
    workers: int
    lease_in: Literal["auto", "columns", "table", "none"]
    lease_prefix: str
    lease: Duration
    deadline: Duration
    max_attempts: int
    backoff: Duration
    poll: Duration | None
    listen: str | None


class RestoreOptions(RunOptions, ThrottleOptions, total=False):
    """Options of `restore`; `table` is the archived table."""

    table: str
    destination: Required[str | PathLike[str]]
    of_run: int | None
    where: str | None
    into: str | None
    on_conflict: Literal["fail", "skip", "replace"]
    drop_columns: bool
    max_rejected: int
    lease: Duration
    restart: bool


class EventsOptions(PayloadOptions, total=False):
    """The options that relay and replay share."""

    to: Required[str]
    topic: str | None
    key: str | None
    header: Sequence[str] | str
    property: Sequence[str] | str
    body: str | None
    id: str | None
    order: Sequence[str] | str | None
    message_id: str | None
    aggregate_id: str | None
    aggregate_type: str | None
    event_type: str | None
    payload: str | None
    headers: str | None
    created_at: str | None
    sent: str | None
    unsent_value: Sequence[str] | str
    sent_value: str | None
    sent_as: Literal["time", "seconds", "milliseconds", "microseconds"] | None
    sent_time: str | None


class RelayOptions(EventsOptions, ThrottledOptions, total=False):
    """Options of `relay`."""

    after_delivery: str
    on_failed: Literal["wait", "hold-key", "dead-letter"]
    max_attempts: int
    backoff: Duration
    shards: int
    lease: Duration
    poll: Duration | None
    listen: str | None


class ReplayOptions(EventsOptions, total=False):
    """Options of `replay`."""

    since: str | None
    until: str | None
    only_aggregate: Sequence[str] | str
    only_type: Sequence[str] | str
    all_events: bool
    rate: float | None
