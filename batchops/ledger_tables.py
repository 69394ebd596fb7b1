"""The ledger's tables."""

import sqlalchemy as sa

from batchops.db.types import LONG_TEXT, WHOLE


def ledger_tables(meta: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    """Runs, lanes and beats."""
    runs = sa.Table(
        "batchops_run", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String(64), nullable=False, index=False),
        sa.Column("verb", sa.String(20), nullable=False),
        sa.Column("table_name", sa.String(255), nullable=False),
        sa.Column("walk", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("wanted", LONG_TEXT, nullable=False),
        sa.Column("frozen", LONG_TEXT, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("base_rows", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("error", sa.Text),
    )  # fmt: skip
    lanes = sa.Table(
        "batchops_lane", meta,
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("cursor", LONG_TEXT, nullable=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sa.Column("rows_changed", sa.BigInteger, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("rows_locked", sa.BigInteger, nullable=False),
        sa.Column("rows_rejected", sa.BigInteger, nullable=False),
    )  # fmt: skip
    beats = sa.Table(
        "batchops_beat", meta,
        sa.Column("job", sa.String(64), primary_key=True),
        sa.Column("run", sa.BigInteger),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("beat_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
    )  # fmt: skip
    return runs, lanes, beats
