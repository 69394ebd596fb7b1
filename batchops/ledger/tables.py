"""The ledger's tables: those of runs, and those of schedules, which only a scheduler creates.

A change to a table of runs also needs a migration: see `migrations`.
"""

import sqlalchemy as sa

from batchops.db.types import LONG_TEXT, WHOLE, KeyText

IDENTITY = sa.String(100)
"""The type of a column with a table's identity on its server."""
BY_JOB = ("batchops_run_by_job", ("job", "run"))
BY_TABLE = ("batchops_run_by_table", ("table_identity", "work"))
BY_END = ("batchops_run_by_end", ("prunable", "ended_at"))
"""The indexes of the table of runs: name and columns."""
_SCHEDULE = KeyText(255)
_SCOPE = KeyText(255)


def version_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of the version of the ledger's tables and of the random id, which moves with the data."""
    return sa.Table(
        "batchops_ledger", meta,
        sa.Column("part", sa.String(20), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("database_id", sa.String(36), nullable=False),
    )  # fmt: skip


def ledger_tables(meta: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    """Return the tables of runs, workers and leases."""
    runs = sa.Table(
        "batchops_run", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(64), nullable=False, index=False),
        sa.Column("verb", sa.String(20), nullable=False),
        sa.Column("table_name", sa.String(255), nullable=False),
        sa.Column("strategy", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("spec", LONG_TEXT, nullable=False),
        sa.Column("pinned", LONG_TEXT, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("base_rows", sa.BigInteger, nullable=False),  # older versions counted limits from it
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("work", sa.String(64)),
        sa.Column("table_identity", IDENTITY),
        sa.Column("storage_identity", IDENTITY),
        sa.Column("prunable", sa.SmallInteger),
        *(sa.Index(name, *columns) for name, columns in (BY_JOB, BY_TABLE, BY_END)),
    )  # fmt: skip
    workers = sa.Table(
        "batchops_worker", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("worker", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("cursor", LONG_TEXT, nullable=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sa.Column("rows_changed", sa.BigInteger, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("rows_locked", sa.BigInteger, nullable=False),
        sa.Column("rows_rejected", sa.BigInteger, nullable=False),
        sa.Column("rows_by_table", LONG_TEXT),
    )  # fmt: skip
    leases = sa.Table(
        "batchops_lease", meta,
        sa.Column("job", sa.String(64), primary_key=True),
        sa.Column("run", sa.BigInteger),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
    )  # fmt: skip
    return runs, workers, leases


def rejected_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of rejected rows, by key, which are kept until the next run retries them."""
    return sa.Table(
        "batchops_rejected", meta,
        sa.Column("number", WHOLE, primary_key=True, autoincrement=True),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("row_key", LONG_TEXT, nullable=False),
        sa.Column("row_name", LONG_TEXT, nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("locked", sa.SmallInteger, nullable=False),
        sa.Index("batchops_rejected_by_run", "run"),
    )  # fmt: skip


def request_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of requests to runs, to jobs, or to every run: what was asked, by whom and when."""
    return sa.Table(
        "batchops_request", meta,
        sa.Column("number", WHOLE, primary_key=True, autoincrement=True),
        sa.Column("scope", _SCOPE, nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("reason", LONG_TEXT),
        sa.Column("settings", LONG_TEXT, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Index("batchops_request_by_scope", "scope"),
    )  # fmt: skip


def sample_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of samples, a ring for each run."""
    return sa.Table(
        "batchops_sample", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("taken_at", sa.Double, nullable=False),
        sa.Column("rows_changed", sa.BigInteger, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sa.Column("batch_rows", sa.BigInteger, nullable=False),
        sa.Column("batch_seconds", sa.Double, nullable=False),
        sa.Column("throttled_seconds", sa.Double, nullable=False),
        sa.Column("waiting", LONG_TEXT),
    )  # fmt: skip


def spool_tables(meta: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Return the tables of archives' spools, with their valid lengths, and of the segments made of them."""
    spools = sa.Table(
        "batchops_spool", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("spool", KeyText(100), primary_key=True),
        sa.Column("valid_length", sa.BigInteger, nullable=False),
        sa.Column("rows_kept", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("segment", sa.Integer),
        sa.Column("rows_left", LONG_TEXT),
    )  # fmt: skip
    segments = sa.Table(
        "batchops_segment", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("record", LONG_TEXT),
    )  # fmt: skip
    return spools, segments


def plan_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of plans: for each run, the plan of the process that worked on it last."""
    return sa.Table(
        "batchops_plan", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("plan", LONG_TEXT, nullable=False),
    )  # fmt: skip


def event_table(meta: sa.MetaData) -> sa.Table:
    """Return the table of the last events, a ring for each run."""
    return sa.Table(
        "batchops_event", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("message", LONG_TEXT, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
    )  # fmt: skip


def schedule_tables(meta: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Return the tables of schedules and fires; fire times are whole seconds since 1970, so that they can be a key."""
    schedules = sa.Table(
        "batchops_schedule", meta,
        sa.Column("schedule", _SCHEDULE, primary_key=True),
        sa.Column("times", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("open_at", sa.BigInteger),
    )  # fmt: skip
    fires = sa.Table(
        "batchops_fire", meta,
        sa.Column("schedule", _SCHEDULE, primary_key=True),
        sa.Column("fire_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.String(40)),
        sa.Column("lease_until", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("note", LONG_TEXT),
    )  # fmt: skip
    return schedules, fires
