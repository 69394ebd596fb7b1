"""A ledger as the first version of its tables was, with runs in it, on each database; SQL as it was printed then."""

import json
import time
from dataclasses import dataclass

from tests.services.database import Database

_TYPES = {
    "postgresql": {"number": "BIGSERIAL", "bigint": "BIGINT", "double": "DOUBLE PRECISION", "long": "TEXT"},
    "mysql": {"number": "BIGINT", "bigint": "BIGINT", "double": "DOUBLE", "long": "MEDIUMTEXT"},
    "sqlite": {"number": "INTEGER", "bigint": "INTEGER", "double": "DOUBLE", "long": "TEXT"},
}
_TABLES = """
CREATE TABLE batchops_beat (
  job VARCHAR(64) NOT NULL, run BIGINT, token VARCHAR(32) NOT NULL, owner TEXT NOT NULL, beat_at {double} NOT NULL,
  lease_until {double} NOT NULL, PRIMARY KEY (job)
);
CREATE TABLE batchops_lane (
  run {bigint} NOT NULL, lane INTEGER NOT NULL, token VARCHAR(32) NOT NULL, {cursor} {long} NOT NULL,
  batches BIGINT NOT NULL, rows_changed BIGINT NOT NULL, rows_read BIGINT NOT NULL, rows_locked BIGINT NOT NULL,
  rows_rejected BIGINT NOT NULL, PRIMARY KEY (run, lane)
);
CREATE TABLE batchops_run (
  run {number} NOT NULL{auto}, job VARCHAR(64) NOT NULL, verb VARCHAR(20) NOT NULL, table_name VARCHAR(255) NOT NULL,
  walk VARCHAR(20) NOT NULL, state VARCHAR(20) NOT NULL, wanted {long} NOT NULL, frozen {long} NOT NULL,
  started_by TEXT NOT NULL, format INTEGER NOT NULL, base_rows BIGINT NOT NULL, started_at {double} NOT NULL,
  ended_at {double}, error TEXT, PRIMARY KEY (run)
);
"""


def tables(database: Database) -> None:
    """The tables alone."""
    mysql = database.backend == "mysql"
    more = {"auto": " AUTO_INCREMENT" if mysql else "", "cursor": "`cursor`" if mysql else "cursor"}
    database.script(_TABLES.format(**_TYPES[database.backend], **more))


@dataclass(frozen=True)
class OldRun:
    """A run over table `t` (id integer, m integer), whose key is id."""

    verb: str = "backfill"
    where: str | None = None
    set: tuple[str, ...] = ("m = m + 1",)
    state: str = "done"
    behind: int | None = None
    """Where its cursor stands, of 1 to 100; None: at the end."""
    rows: int = 100
    ended: float = 3600.0
    """Seconds ago."""
    job: str = "4b9bf10e5e421b4ce92173d580caa05e0f73e3912aa1007888942a86277ca770"
    """A hash of where the database was then."""


def add(database: Database, *runs: OldRun) -> None:
    """Runs as the version of then wrote them down."""
    columns = ("job", "verb", "table_name", "walk", "state", "wanted", "frozen", "started_by", "format", "base_rows",
               "started_at", "ended_at")  # fmt: skip
    database.insert("batchops_run", columns, [_row(database, run) for run in runs])
    numbers = database.column("SELECT run FROM batchops_run ORDER BY run DESC")[: len(runs)][::-1]
    lane = ("run", "lane", "token", "`cursor`" if database.backend == "mysql" else "cursor", "batches", "rows_changed",
            "rows_read", "rows_locked", "rows_rejected")  # fmt: skip
    values = [
        (number, 0, "c2db014fba0f555f", _cursor(database, run), 2, run.rows, run.rows, 0, 0)
        for number, run in zip(numbers, runs, strict=True)
    ]
    database.insert("batchops_lane", lane, values)


def _row(database: Database, run: OldRun) -> tuple[object, ...]:
    wanted: dict[str, object] = {"where": run.where, "older_than": None, "before": None, "by": None}
    if run.verb == "backfill":
        wanted |= {"set": list(run.set)}
    assignments = [one.split(" = ", 1) for one in run.set] if run.verb == "backfill" else []
    frozen = {
        "predicate": run.where, "assignments": assignments, "cutoff": None, "fingerprint": _fingerprint(database),
        "walk": "keys", "key": ["id"], "leaves": [],
    }  # fmt: skip
    by = {
        "user": "root", "host": "elsewhere", "pid": 30212, "boot": "", "namespace": "", "started": "88800",
        "role": "", "version": "0.1.0", "database": database.url,
    }  # fmt: skip
    ended = time.time() - run.ended
    return (
        run.job, run.verb, "t", "keys", run.state, json.dumps(wanted), json.dumps(frozen), json.dumps(by), 1, 0,
        ended - 1, ended,
    )  # fmt: skip


def _fingerprint(database: Database) -> str:
    if database.backend == "postgresql":
        return f"{database.scalar('SELECT CAST(CAST(' + repr('t') + ' AS regclass) AS oid)')}:id integer,m integer"
    if database.backend == "mysql":
        return f"{database.name}.t:2026-11-28 21:33:10:id int(11),m int(11)"
    return "main.t:id INTEGER,m INTEGER"


def _cursor(database: Database, run: OldRun) -> str:
    if run.behind is None:
        return '{"ranges":[],"turn":0,"base":0}'
    after, upto = (json.dumps(str(n) if database.backend == "postgresql" else n) for n in (run.behind, 100))
    return f'{{"ranges":[[[{after}],[{upto}],[],0,null,null]],"turn":0,"base":0}}'
