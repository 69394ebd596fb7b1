"""A transaction of somebody else's that holds rows until the job waits for them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tests.services.database import Database

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchops' "
    "AND datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def held(
    database: Database, *statements: str, then: Callable[[sa.Connection], object] = lambda _: None
) -> Iterator[None]:
    """Run the statements, keep their locks until a job waits for one of them, `then` look, and commit."""
    began, over = threading.Event(), threading.Event()

    def hold() -> None:
        with database.engine.connect() as connection:
            if database.backend == "mysql":
                connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                connection.commit()
            for statement in statements:
                connection.execute(sa.text(statement))
            began.set()
            if _until_waited_for(database, over):
                then(connection)  # the job may delete the row as soon as it is free
            connection.commit()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert began.wait(20)
        yield
    finally:
        over.set()
        holder.join()


def _until_waited_for(database: Database, over: threading.Event) -> bool:
    while not over.wait(0.01):
        if _waited_for(database):
            return True
    return False


def _waited_for(database: Database) -> bool:
    if database.backend == "postgresql":
        return bool(database.scalar(_WAITING))
    # INNODB_LOCK_WAITS stays as it is as long as somebody reads it more often than every 0.1 s.
    ((_, _, status),) = database.rows("SHOW ENGINE INNODB STATUS")
    waits = str(status).split("FOR THIS LOCK TO BE GRANTED:")[1:]
    return any(f"`{database.name}`." in wait.splitlines()[1] for wait in waits)
