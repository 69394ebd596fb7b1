"""The migrations of the tables of runs, from each version to the next.

Version 1 had neither indexes nor a version, and a job's key held the place of its database. Version 2 kept no
rejected rows. Version 3 had other names for tables, columns and strategies. Version 4 kept no requests, version 5
no samples, version 6 no spools, version 7 neither plans nor events; version 9 had spools of archives in folders
only. A new table needs only a new version here: it is created where it is missing.

Some tables keep no version and are not covered: those beside an outbox (`outbox.tables`), which would get one with
migrations for their TableSetup; those of schedules (`scheduler.fires`); and `batchops_row_lease`, which
`queue.leases.ddl` updates.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.table import TableIdentity
from batchops.db.types import LONG_TEXT
from batchops.ledger.run import JobIdentity
from batchops.ledger.schema_changes import AddColumn, AddIndex, RenameColumn, RenameTable, SchemaChange
from batchops.ledger.tables import BY_END, BY_JOB, BY_TABLE, IDENTITY

STRATEGIES = {"keys": "key", "blocks": "block"}
"""The names that strategies had up to version 3, with those of today."""
ROWS_PER_TRANSACTION = 500
"""Rows that one transaction of a migration changes."""

Fill = Callable[[Database, Mapping[str, sa.Table], str], None]
"""Called with the database, its tables by name, and the ledger's database id; fills in what older rows lack.

It may be called more than once."""


@dataclass(frozen=True)
class Migration:
    """The step to `version`: its SQL may have been run by hand already; `fill` needs no right to alter tables."""

    version: int
    changes: tuple[SchemaChange, ...]
    fill: Fill


def _fill_in_identities(database: Database, tables: Mapping[str, sa.Table], database_id: str) -> None:
    """Give older runs their job's key by the ledger's id, newest first: a job's newest run proves it done."""
    runs = tables["batchops_run"]
    query = sa.select(runs).where(runs.c.work.is_(None)).order_by(runs.c.run.desc()).limit(ROWS_PER_TRANSACTION)
    below, seen = sa.true(), set[str]()
    while True:
        with database.transaction() as connection:
            rows = connection.execute(query.where(below)).mappings().all()
            values = [_identified(database, row, database_id, seen) for row in rows]
            if values:
                connection.execute(_by_number(runs), values)
        if len(rows) < ROWS_PER_TRANSACTION:
            return
        below = runs.c.run < rows[-1]["run"]


def _fill_nothing(database: Database, tables: Mapping[str, sa.Table], database_id: str) -> None:
    """Fill in nothing, as older rows lack nothing."""


def _rename_what_runs_keep(database: Database, tables: Mapping[str, sa.Table], database_id: str) -> None:  # noqa: ARG001
    """Give older runs today's names in their strategy, their pinned values and their workers' cursors."""
    runs, workers = tables["batchops_run"], tables["batchops_worker"]
    below = sa.true()
    while True:
        query = sa.select(runs.c.run, runs.c.strategy, runs.c.pinned).where(below).order_by(runs.c.run.desc())
        with database.transaction() as connection:
            rows = connection.execute(query.limit(ROWS_PER_TRANSACTION)).all()
            for row in rows:
                values = {"strategy": STRATEGIES.get(row.strategy, row.strategy), "pinned": _renamed(row.pinned)}
                connection.execute(runs.update().where(runs.c.run == row.run).values(values))
            numbers = [row.run for row in rows]
            old = sa.select(workers).where(workers.c.run.in_(numbers), workers.c.cursor.like('%"turn"%'))
            for row in connection.execute(old).all():
                mine = sa.and_(workers.c.run == row.run, workers.c.worker == row.worker)
                cursor = json.loads(row.cursor)
                cursor["pass"] = cursor.pop("turn")
                text = json.dumps(cursor, separators=(",", ":"))
                connection.execute(workers.update().where(mine).values(cursor=text))
        if len(rows) < ROWS_PER_TRANSACTION:
            return
        below = runs.c.run < rows[-1].run


def _renamed(text: str) -> str:
    """Return the pinned values of a run with today's names."""
    pinned = json.loads(text)
    for old, new in (("predicate", "condition"), ("walk", "strategy")):
        if old in pinned:
            pinned[new] = pinned.pop(old)
    if "walk" in pinned.get("asked", {}):
        pinned["asked"]["strategy"] = pinned["asked"].pop("walk")
    for some in (pinned, pinned.get("asked", {})):
        if "strategy" in some:
            some["strategy"] = STRATEGIES.get(some["strategy"], some["strategy"])
    return json.dumps(pinned)


def _by_number(runs: sa.Table) -> sa.Update:
    names = ("job", "work", "table_identity", "prunable")
    new: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    return runs.update().where(runs.c.run == sa.bindparam("number")).values(new)


def _identified(database: Database, row: Any, database_id: str, seen: set[str]) -> dict[str, Any]:
    """Return the new values of a run's row; `seen` holds the keys of jobs that have a newer run."""
    schema, name = database.backend.catalog.unlabelled(row["table_name"])
    job = JobIdentity(row["verb"], schema, name, json.loads(row["spec"]), _evidence(row))
    # A ledger may hold runs of other databases too. None of those is a backfill that must not be applied twice,
    # and any other job may start again; but a purge must not continue with another database's cursor.
    backfill = "set" in job.spec
    own = backfill or json.loads(row["started_by"]).get("database") == database.address.shown
    key = job.key(database_id) if own else row["job"]
    newest = key not in seen
    seen.add(key)
    return {
        "number": row["run"],
        "new_job": key,
        "new_work": job.work,
        "new_table_identity": job.evidence.table,
        "new_prunable": 0 if backfill and newest else 1,
    }


def _evidence(row: Any) -> TableIdentity:
    """Return the table's identity that a run of version 1 pinned: an OID before the first colon, or nothing useful."""
    oid = str(json.loads(row["pinned"]).get("fingerprint", "")).partition(":")[0]
    return TableIdentity(f"oid {oid}" if oid.isdecimal() else None)


MIGRATIONS: Sequence[Migration] = (
    Migration(
        version=2,
        changes=(
            AddColumn("batchops_run", "work", sa.String(64)),
            AddColumn("batchops_run", "table_identity", IDENTITY),
            AddColumn("batchops_run", "storage_identity", IDENTITY),
            AddColumn("batchops_run", "prunable", sa.SmallInteger()),
            AddIndex("batchops_run", *BY_JOB),
            AddIndex("batchops_run", *BY_TABLE),
            AddIndex("batchops_run", *BY_END),
        ),
        fill=_fill_in_identities,
    ),
    Migration(version=3, changes=(), fill=_fill_nothing),
    Migration(
        version=4,
        changes=(
            # The leases of a queue's rows: their table's old name is now that of the leases of runs.
            RenameTable("batchops_lease", "batchops_row_lease", column="relation"),
            RenameTable("batchops_beat", "batchops_lease", column="beat_at"),
            RenameTable("batchops_lane", "batchops_worker", column="lane"),
            RenameColumn("batchops_lease", "beat_at", "renewed_at", old_table="batchops_beat"),
            RenameColumn("batchops_worker", "lane", "worker", old_table="batchops_lane"),
            RenameColumn("batchops_run", "walk", "strategy"),
            RenameColumn("batchops_run", "wanted", "spec"),
            RenameColumn("batchops_run", "frozen", "pinned"),
        ),
        fill=_rename_what_runs_keep,
    ),
    Migration(version=5, changes=(), fill=_fill_nothing),
    Migration(version=6, changes=(), fill=_fill_nothing),
    Migration(version=7, changes=(), fill=_fill_nothing),
    Migration(version=8, changes=(), fill=_fill_nothing),
    Migration(
        version=9,
        changes=(AddColumn("batchops_worker", "rows_by_table", LONG_TEXT, old_table="batchops_lane"),),
        fill=_fill_nothing,
    ),
    Migration(version=10, changes=(AddColumn("batchops_spool", "rows_left", LONG_TEXT),), fill=_fill_nothing),
)
