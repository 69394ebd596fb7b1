"""The ledger's tables: those of runs, and those of schedules, which only a scheduler makes."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from batchops.db.database import Database
from batchops.db.types import LONG_TEXT, WHOLE
from batchops.errors import BatchopsError, RefusedError

_SCHEDULE = sa.String(255).with_variant(sa.String(255, collation="utf8mb4_bin"), "mysql", "mariadb")


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


def schedule_tables(meta: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Schedules and their fires; fire times are whole seconds since 1970, so that they can be a key."""
    schedules = sa.Table(
        "batchops_schedule", meta,
        sa.Column("schedule", _SCHEDULE, primary_key=True),
        sa.Column("times", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("open_at", sa.BigInteger),
        sa.Column("seen_at", sa.Double, nullable=False),
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


class Making:
    """Tables that are made where they are missing."""

    def __init__(self, database: Database, meta: sa.MetaData) -> None:
        self._database = database
        self._meta = meta

    def ddl(self) -> list[str]:
        """The statements that make the tables."""
        made = (CreateTable(table, if_not_exists=True) for table in self._meta.sorted_tables)
        texts = (str(one.compile(self._database.engine)).replace("\t", "  ") for one in made)
        return ["\n".join(line.rstrip() for line in text.split("\n")).strip() for text in texts]

    def exists(self, connection: sa.Connection) -> bool:
        """Whether the tables are there; asked of the catalog, as asking the tables would fail a transaction."""
        inspector = sa.inspect(connection)
        return all(inspector.has_table(t.name, schema=t.schema) for t in self._meta.sorted_tables)

    def make(self) -> None:
        """Make the tables where they are missing; RefusedError with the DDL where this role may not."""
        if self._seen():
            return
        try:
            with self._database.transaction() as connection:
                for table in self._meta.sorted_tables:
                    # IF NOT EXISTS: where each is a transaction of its own, another first run may be halfway.
                    connection.execute(CreateTable(table, if_not_exists=True))
        except BatchopsError as error:
            # Two first runs at one moment: the other one made them.
            if self._seen():
                return
            raise RefusedError(
                f"The ledger's tables cannot be made here: {error.message}",
                "have them made with the statements below, name a schema of yours with --ledger-schema, or keep "
                "progress elsewhere: --ledger FILE, --ledger none.\n" + ";\n".join(self.ddl()) + ";",
            ) from error

    def _seen(self) -> bool:
        """MariaDB tells a role without any right to a table that it may not look, also where there is none."""
        try:
            with self._database.reading() as connection:
                return self.exists(connection)
        except RefusedError:
            return False
