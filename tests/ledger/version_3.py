"""A ledger as the third version of its tables was, with the names of then; SQL as it was printed then."""

import json
import uuid

from batchops.db.table import TableIdentity
from batchops.ledger.run import JobIdentity
from tests.ledger import version_1
from tests.ledger.version_1 import OldRun
from tests.services.database import Database

_MORE = """
ALTER TABLE batchops_run ADD COLUMN work VARCHAR(64);
ALTER TABLE batchops_run ADD COLUMN table_identity VARCHAR(100);
ALTER TABLE batchops_run ADD COLUMN storage_identity VARCHAR(100);
ALTER TABLE batchops_run ADD COLUMN prunable SMALLINT;
CREATE INDEX batchops_run_by_end ON batchops_run (prunable, ended_at);
CREATE INDEX batchops_run_by_job ON batchops_run (job, run);
CREATE INDEX batchops_run_by_table ON batchops_run (table_identity, work);
CREATE TABLE batchops_ledger (
  part VARCHAR(20) NOT NULL, version INTEGER NOT NULL, database_id VARCHAR(36) NOT NULL, PRIMARY KEY (part)
);
"""


def tables(database: Database) -> None:
    """The tables alone; that of rejected rows is as it is today, and is made where it is missing."""
    version_1.tables(database)
    database.script(_MORE)
    database.insert("batchops_ledger", ("part", "version", "database_id"), [("runs", 3, str(uuid.uuid4()))])


def add(database: Database, *runs: OldRun) -> None:
    """Runs by the key of today, which the ledger's own id is part of."""
    version_1.add(database, *runs)
    schema = "public" if database.backend == "postgresql" else None
    for number, run in enumerate(runs, 1):
        spec: dict[str, object] = {"where": run.where, "older_than": None, "before": None, "by": None}
        spec |= {"set": list(run.set)} if run.verb == "backfill" else {}
        job = JobIdentity(run.verb, schema, "t", spec, TableIdentity(None))
        key = job.key(str(database.scalar("SELECT database_id FROM batchops_ledger")))
        asked = {"walk": "keys", "key": None}
        frozen = json.loads(str(database.scalar(f"SELECT frozen FROM batchops_run WHERE run = {number}")))
        text = json.dumps(frozen | {"asked": asked, "left_out": []}).replace("'", "''")
        database.execute(
            f"UPDATE batchops_run SET job = '{key}', work = '{job.work}', prunable = 0, frozen = '{text}' "
            f"WHERE run = {number}"
        )
