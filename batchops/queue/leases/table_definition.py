"""The table batchops_row_lease: leases of rows of any queue, for tables whose columns are not ours to add to."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from batchops.db.types import KEY_TEXT, LONG_TEXT
from batchops.queue.leases.column_names import BEFORE_CLAIM

TABLE = "batchops_row_lease"
_KEY = sa.Text().with_variant(sa.String(500, collation="utf8mb4_bin"), "mysql", "mariadb")
LEASES = sa.Table(
    TABLE, sa.MetaData(),
    sa.Column("relation", KEY_TEXT, primary_key=True),
    sa.Column("row_key", _KEY, primary_key=True),
    sa.Column("lease", sa.String(40)),
    sa.Column("lease_until", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Double),
    sa.Column("failure", LONG_TEXT),
    sa.Column(BEFORE_CLAIM, LONG_TEXT),
)  # fmt: skip


def creation() -> CreateTable:
    """The statement that makes the table."""
    return CreateTable(LEASES, if_not_exists=True)
