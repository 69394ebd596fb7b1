"""A table that others change in every way while a job runs, and triggers that log who touched what.

Whoever writes says so first, in the same transaction. The log also has what the writers did, so that the rows that
nobody but the job touched are known.
"""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.services.database import Database

ROWS = 6_000
OLD = "status = 'old'"
"""Matches half of the rows; without an index."""
LOW = f"rank < {ROWS // 20}"
"""Matches one row in twenty; `rank` has an index."""

_TABLES = {
    "plain": """
CREATE TABLE jobs (
    id integer NOT NULL PRIMARY KEY, bucket integer NOT NULL, status varchar(10) NOT NULL, rank integer NOT NULL,
    n integer NOT NULL, note varchar(200) NOT NULL
);
""",
    "partitioned": """
CREATE TABLE jobs (
    id integer NOT NULL, bucket integer NOT NULL, status varchar(10) NOT NULL, rank integer NOT NULL,
    n integer NOT NULL, note varchar(200) NOT NULL, PRIMARY KEY (id, bucket)
) PARTITION BY LIST (bucket);
CREATE TABLE jobs_0 PARTITION OF jobs FOR VALUES IN (0);
CREATE TABLE jobs_1 (note varchar(200) NOT NULL, gone text, n integer NOT NULL, rank integer NOT NULL,
    status varchar(10) NOT NULL, bucket integer NOT NULL, id integer NOT NULL);
ALTER TABLE jobs_1 DROP COLUMN gone;
ALTER TABLE jobs ATTACH PARTITION jobs_1 FOR VALUES IN (1);
CREATE TABLE jobs_rest PARTITION OF jobs DEFAULT;
""",
}
_MORE = """
CREATE INDEX jobs_rank ON jobs (rank);
CREATE TABLE start (id integer PRIMARY KEY, status varchar(10) NOT NULL, rank integer NOT NULL);
CREATE TABLE shadow (own integer NOT NULL, id integer NOT NULL, status varchar(10) NOT NULL, rank integer NOT NULL);
"""
_TRIGGERS = {
    "postgresql": """
CREATE FUNCTION shadow_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO shadow VALUES (
    (current_setting('application_name') = 'batchops')::int, OLD.id, OLD.status, OLD.rank);
  RETURN NULL; END $$;
CREATE TRIGGER shadow_row AFTER DELETE OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION shadow_log();
""",
    "mysql": """
CREATE TRIGGER shadow_delete AFTER DELETE ON jobs FOR EACH ROW
  INSERT INTO shadow VALUES (@application IS NULL, OLD.id, OLD.status, OLD.rank);
CREATE TRIGGER shadow_update AFTER UPDATE ON jobs FOR EACH ROW
  INSERT INTO shadow VALUES (@application IS NULL, OLD.id, OLD.status, OLD.rank);
""",
    "sqlite": """
CREATE TABLE application (id integer PRIMARY KEY);
CREATE TRIGGER shadow_delete AFTER DELETE ON jobs
  BEGIN INSERT INTO shadow SELECT NOT EXISTS (SELECT 1 FROM application), OLD.id, OLD.status, OLD.rank; END;
CREATE TRIGGER shadow_update AFTER UPDATE ON jobs
  BEGIN INSERT INTO shadow SELECT NOT EXISTS (SELECT 1 FROM application), OLD.id, OLD.status, OLD.rank; END;
""",
}
_ANALYZE = {"postgresql": "ANALYZE jobs", "mysql": "ANALYZE TABLE jobs", "sqlite": "ANALYZE"}
_WRITES = {
    "flip": "UPDATE jobs SET status = CASE status WHEN 'old' THEN 'new' ELSE 'old' END WHERE id = :key",
    "several": "UPDATE jobs SET status = CASE status WHEN 'old' THEN 'new' ELSE 'old' END "
    "WHERE id > :key AND id < :key + 9",
    "hot": "UPDATE jobs SET n = n + 1 WHERE id = :key",
    "longer": "UPDATE jobs SET note = '" + "x" * 190 + "' WHERE id = :key",
    "rank": f"UPDATE jobs SET rank = {ROWS} - rank WHERE id = :key",
    "rank and matching": "UPDATE jobs SET rank = rank / 2 WHERE id = :key",
    "key": "UPDATE jobs SET id = :new WHERE id = :key",
    "bucket": "UPDATE jobs SET bucket = (bucket + 1) % 4 WHERE id = :key",
    "delete": "DELETE FROM jobs WHERE id = :key",
    "insert": "INSERT INTO jobs VALUES (:new, 1, 'old', 7, 0, '')",
}

EVERY = tuple(_WRITES)
FLIPS = ("flip", "several")


def make(database: Database, shape: str = "plain") -> None:
    """Every second row is `old`; ranks are scattered."""
    database.script(_TABLES[shape] + _MORE)
    rows = [(i, i % 4, "old" if i % 2 else "new", i * 7919 % ROWS, 0, "short") for i in range(1, ROWS + 1)]
    database.insert("jobs", ["id", "bucket", "status", "rank", "n", "note"], rows)
    database.script("INSERT INTO start SELECT id, status, rank FROM jobs")
    database.script(_TRIGGERS[database.backend])
    database.execute(_ANALYZE[database.backend])


class Writers:
    """Change the table at random keys until told to stop, each keeping its locks for up to `hold` seconds."""

    def __init__(
        self, database: Database, count: int = 3, *, kinds: Sequence[str] = EVERY, hold: float = 0.004
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._hold = hold
        self._over = threading.Event()
        count = 1 if database.backend == "sqlite" else count
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(count)]
        self.writes: dict[str, int] = dict.fromkeys(kinds, 0)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        with self._database.engine.connect() as connection:
            if self._database.backend == "mysql":
                connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                connection.exec_driver_sql("SET @application = 1")
                connection.commit()
            while not self._over.is_set():
                with suppress(DBAPIError):  # a deadlock or a busy file: the next one then
                    self._one(connection, chance)
                connection.rollback()
                if self._database.backend == "sqlite":
                    self._over.wait(0.002)  # its one writer must let the job in as well

    def _one(self, connection: sa.Connection, chance: random.Random) -> None:
        name = chance.choice(self._kinds)
        numbers = {"key": chance.randint(1, ROWS), "new": chance.randint(ROWS + 1, 10**9)}
        if self._database.backend == "sqlite":
            connection.exec_driver_sql("INSERT INTO application VALUES (1)")
        done = connection.execute(sa.text(_WRITES[name]), numbers)
        if self._database.backend != "sqlite":
            self._over.wait(chance.uniform(0, self._hold))  # so that the job meets rows that are locked
        if self._database.backend == "sqlite":
            connection.exec_driver_sql("DELETE FROM application")
        connection.commit()
        self.writes[name] += max(0, done.rowcount)


def touched_wrongly(database: Database, where: str) -> list[Any]:
    """Rows that the job deleted or updated although they did not match at that moment."""
    return database.rows(f"SELECT id, status, rank FROM shadow WHERE own = 1 AND NOT ({where})")


def forgotten(database: Database, where: str) -> list[Any]:
    """Rows that matched at the start, that nobody else touched, and that are there still."""
    return database.column(
        f"SELECT id FROM jobs WHERE id IN (SELECT id FROM start WHERE {where}) "
        "AND id NOT IN (SELECT id FROM shadow WHERE own = 0)"
    )
