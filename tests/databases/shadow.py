"""Writers that change a table while a job runs, and a log by triggers of what the job itself touched.

Whoever writes says so first, in the same transaction: the triggers log a row unless the writer marked it.
"""

import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.services.database import Database

ROWS = 6_000

_TRIGGERS = {
    "postgresql": """
CREATE FUNCTION shadow_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('application_name') = 'batchops' THEN
    INSERT INTO shadow (id, status) VALUES (OLD.id, OLD.status);
  END IF; RETURN NULL; END $$;
CREATE TRIGGER shadow_delete AFTER DELETE OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION shadow_log();
""",
    "mysql": """
CREATE TRIGGER shadow_delete AFTER DELETE ON jobs FOR EACH ROW
  INSERT INTO shadow (id, status) SELECT OLD.id, OLD.status FROM dual WHERE @application IS NULL;
CREATE TRIGGER shadow_update AFTER UPDATE ON jobs FOR EACH ROW
  INSERT INTO shadow (id, status) SELECT OLD.id, OLD.status FROM dual WHERE @application IS NULL;
""",
    "sqlite": """
CREATE TABLE application (id integer PRIMARY KEY);
CREATE TRIGGER shadow_delete AFTER DELETE ON jobs WHEN NOT EXISTS (SELECT 1 FROM application)
  BEGIN INSERT INTO shadow (id, status) VALUES (OLD.id, OLD.status); END;
CREATE TRIGGER shadow_update AFTER UPDATE ON jobs WHEN NOT EXISTS (SELECT 1 FROM application)
  BEGIN INSERT INTO shadow (id, status) VALUES (OLD.id, OLD.status); END;
""",
}
_TABLES = """
CREATE TABLE jobs (id integer PRIMARY KEY, status varchar(10) NOT NULL, touched integer NOT NULL);
CREATE TABLE shadow (id integer NOT NULL, status varchar(10) NOT NULL);
"""


def make(database: Database) -> None:
    """Every second row is `old`, and matches; the others are `new`."""
    database.script(_TABLES)
    rows = [(i, "old" if i % 2 else "new", 0) for i in range(1, ROWS + 1)]
    database.insert("jobs", ["id", "status", "touched"], rows)
    database.script(_TRIGGERS[database.family])


class Writers:
    """Insert, delete and flip at random keys until told to stop."""

    def __init__(self, database: Database, count: int) -> None:
        self._database = database
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(count)]
        self.writes = 0
        self.flips = 0

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
            if self._database.family == "mysql":
                connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                connection.exec_driver_sql("SET @application = 1")
                connection.commit()
            while not self._over.is_set():
                with suppress(DBAPIError):  # a deadlock or a busy file: the next one then
                    self._one(connection, chance)
                connection.rollback()
                if self._database.family == "sqlite":
                    self._over.wait(0.002)  # its one writer must let the job in as well

    def _one(self, connection: sa.Connection, chance: random.Random) -> None:
        key = chance.randint(1, ROWS)
        if self._database.family == "sqlite":
            connection.exec_driver_sql("INSERT INTO application VALUES (1)")
        done = connection.execute(sa.text(chance.choice(_WRITES)), {"key": key, "new": chance.randint(1, 10**9)})
        flipped = done.rowcount if "UPDATE" in str(done.context and done.context.statement) else 0
        if self._database.family == "sqlite":
            connection.exec_driver_sql("DELETE FROM application")
        connection.commit()
        self.writes += 1
        self.flips += max(0, flipped)


_FLIP = "UPDATE jobs SET status = CASE status WHEN 'old' THEN 'new' ELSE 'old' END WHERE"
_WRITES = (
    f"{_FLIP} id = :key AND :new > 0",
    f"{_FLIP} id > :key AND id < :key + 9 AND :new > 0",
    "DELETE FROM jobs WHERE id = :key AND :new > 0",
    "INSERT INTO jobs (id, status, touched) VALUES (:new, 'old', :key)",
)


def touched_wrongly(database: Database) -> list[Any]:
    """Rows that the job deleted or updated although they did not match at that moment."""
    return database.rows("SELECT id, status FROM shadow WHERE status <> 'old'")
