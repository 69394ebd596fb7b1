"""Rows that another session changes after they were read and before they are locked: what is true then decides."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

import batchops as library
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.waiting import until

pytestmark = pytest.mark.in_turn

WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist p "
    "ON p.id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
}


def make(database: Database, rows: Sequence[tuple[int, int | None]]) -> None:
    database.script(
        "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, up integer, gone integer NOT NULL,"
        " FOREIGN KEY (up) REFERENCES c (id)); CREATE INDEX c_up ON c (up)"
    )
    waiting = dict(rows)
    while waiting:  # what others refer to first
        for id, up in [one for one in waiting.items() if one[1] not in waiting]:
            database.insert("c", ["id", "up", "gone"], [(id, up, 1)])
            del waiting[id]


def purged_beside(database: Database, change: str, **options: Any) -> library.Finished:
    """The run begins while another session has changed a row, which commits once the run waits for it."""
    finished = list[library.Finished]()
    with database.engine.connect() as other:
        begun = other.begin()
        other.execute(text(change))
        job = {"url": database.url, "table": "c", "allow": ["fk-index"]} | options
        run = threading.Thread(target=lambda: finished.append(library.purge(**job)))
        run.start()
        until(lambda: finished or database.scalar(WAITING[database.backend]))
        assert not finished, "it waited for nothing"
        begun.commit()
    run.join()
    return finished[0]


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_row_that_is_moved_to_another_parent_stays(new_database: NewDatabase, name: str) -> None:
    database = new_database(name)
    make(database, [(1, None), (2, 1), (3, 2), (4, 3), (9, None)])
    moved = "UPDATE c SET up = 9 WHERE id = 4"
    finished = purged_beside(database, moved, where="id = 1", with_children=True, batch_size=100)
    assert (finished.reason, finished.rows) == ("done", 3), finished
    assert database.column("SELECT id FROM c ORDER BY id") == [4, 9]


def test_a_row_that_matches_no_more_stays_with_all_above_it(postgresql: Database) -> None:
    """Neither the last row nor the first one goes by itself, so that what hangs on the first is read."""
    make(postgresql, [(1, None), (2, 1), (3, 4), (4, None)])
    turned = "UPDATE c SET gone = 0 WHERE id = 2"
    finished = purged_beside(postgresql, turned, where="gone = 1", batch_size=1)
    assert (finished.rows, finished.rejected) == (2, 1), finished
    assert postgresql.column("SELECT id FROM c ORDER BY id") == [1, 2]
