"""Sessions that accompany a run are ended by the server: the run goes on, and they are opened again."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy.exc import DBAPIError

from batchops.events import Event, Throttled, Warned
from batchops.runtime import heartbeat, lease
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

OTHERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE application_name = 'batchops'"
    " AND datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()",
}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


def end_all(database: Database) -> None:
    for session in database.column(OTHERS[database.backend]):
        try:
            database.execute(END[database.backend].format(session))
        except DBAPIError:
            continue  # it had gone by itself


def until(state: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not state():
        pause.wait(0.02)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_heartbeat_s_session_is_ended(request: pytest.FixtureRequest, kind: str) -> None:
    database: Database = request.getfixturevalue(kind)
    numbered(database, 300)
    ended: list[float] = []

    def lapses_at() -> float:
        return float(database.scalar("SELECT lease_until FROM batchops_lease"))

    def hear(event: Event) -> None:
        if isinstance(event, Throttled) and not ended:
            before = lapses_at()
            until(lambda: lapses_at() > before)
            end_all(database)  # every session of the run, while no batch is in hand
            ended.append(after := lapses_at())
            until(lambda: lapses_at() > after)

    job = Job(database, "purge", where="id > 0", batch_size=100, sleep="20ms", lease="1s")
    assert job(hear=hear).reason == "done"
    assert ended
    assert database.scalar("SELECT count(*) FROM t") == 0


def test_a_driver_s_own_error_is_one_of_ours(postgresql: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the driver past SQLAlchemy fails by an error that SQLAlchemy does not wrap."""
    import psycopg

    numbered(postgresql, 300)
    renew, fell = lease.renew, []

    def fall(*args: object) -> bool:
        if not fell:
            fell.append(1)
            with args[0].database.transaction():  # type: ignore[attr-defined]  # the ledger
                raise psycopg.OperationalError("the connection is lost")
        return renew(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(heartbeat, "renew", fall)

    def hear(event: Event) -> None:
        if isinstance(event, Throttled):
            until(lambda: bool(fell))

    job = Job(postgresql, "purge", where="id > 0", batch_size=100, sleep="20ms", lease="1s")
    assert job(hear=hear).reason == "done"
    assert not [event for event in job.events if isinstance(event, Warned)]
