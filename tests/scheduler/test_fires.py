"""The table of fires on each database: one owner a fire, take-overs, a clock that is put back."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.ledger.ledger import Ledger
from batchops.scheduler.fires import DEATHS, Claimed, Fires
from batchops.scheduler.misfires import MisfirePolicy, Schedule
from batchops.spec.times import Every
from tests.services.database import Database

SECOND = Schedule("second", Every(1))
HOUR = 3600


Scheduler = Callable[..., Fires]


@pytest.fixture
def place(database: Database) -> Database:
    return database


@pytest.fixture
def scheduler(place: Database) -> Iterator[Scheduler]:
    """Makes schedulers, as on different hosts: none knows anything of the others."""
    with ExitStack() as stack:

        def scheduler(*schedules: Schedule) -> Fires:
            reached = connect(address(place.url, {}))
            stack.callback(reached.close)
            fires = Fires(Ledger(reached, None, inside=True))
            fires.make(schedules)
            return fires

        yield scheduler


def owed(database: Database, seconds: int) -> None:
    """As if every schedule had been there for so long."""
    database.execute(f"UPDATE batchops_schedule SET since = since - {seconds}")


def states(database: Database) -> dict[str, int]:
    return dict(database.rows("SELECT state, count(*) FROM batchops_fire GROUP BY state"))


def dead(database: Database) -> None:
    """Whoever is at work gives no more signs of life."""
    database.execute("UPDATE batchops_fire SET lease_until = 1 WHERE finished_at IS NULL")


@pytest.mark.in_turn
def test_tables_of_an_older_version_lose_a_column_that_nothing_reads(scheduler: Scheduler, place: Database) -> None:
    scheduler(SECOND)
    owed(place, 60)
    place.execute("ALTER TABLE batchops_schedule ADD seen_at double precision NOT NULL DEFAULT 1")
    if place.backend != "sqlite":  # which cannot take the default away
        place.execute("ALTER TABLE batchops_schedule ALTER seen_at DROP DEFAULT")
    other = scheduler(SECOND, Schedule("other", Every(1)))
    assert (other.claim(SECOND, free=True).fire is not None, other.tables.ddl()) == (True, [])
    names = {column["name"] for column in sa.inspect(place.engine).get_columns("batchops_schedule")}
    assert names == {"schedule", "times", "since", "open_at"}


@pytest.mark.in_turn
def test_a_new_schedule_owes_nothing(scheduler: Scheduler) -> None:
    fires = scheduler(Schedule("hour", Every(HOUR)))
    assert fires.claim(Schedule("hour", Every(HOUR)), free=True).decided == ()
    assert fires.look(["hour"])[1] == frozenset()


def test_of_many_schedulers_one_starts_each_fire(
    place: Database, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchops.scheduler.fires.LEASE", 3600.0)  # nothing expires while a busy machine claims
    policy = MisfirePolicy(missed="all", overlap="parallel")
    one = Schedule("one", Every(1), policy)
    many = [scheduler(one) for _ in range(4)]
    owed(place, 20)
    claimed: list[Claimed] = []

    def work(fires: Fires) -> None:
        for _ in range(15):
            claimed.append(fires.claim(one, free=True))

    threads = [threading.Thread(target=work, args=(fires,)) for fires in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = Counter(each.fire.fire_at for each in claimed if each.fire)
    assert len(started) >= 20
    assert set(started.values()) == {1}
    assert states(place).keys() == {"running"}
    assert place.scalar("SELECT count(*) FROM batchops_fire") == sum(len(each.decided) for each in claimed)


@pytest.mark.in_turn
def test_its_end_is_written_down_once(place: Database, scheduler: Scheduler) -> None:
    fires = scheduler(SECOND)
    owed(place, 5)
    fire = fires.claim(SECOND, free=True).fire
    assert fire
    assert fires.renew({fire.token: 7}) == frozenset()
    assert place.scalar("SELECT row_count FROM batchops_fire WHERE state = 'running'") == 7
    assert fires.look(["second"])[1] == {"second"}
    assert fires.finish(fire, "ran", 9, "")
    assert place.rows("SELECT row_count, note FROM batchops_fire WHERE state = 'ran'") == [(9, None)]
    assert states(place).keys() == {"coalesced", "ran"}


def test_a_dead_owners_fire_is_finished_by_another(place: Database, scheduler: Scheduler) -> None:
    first, second = scheduler(SECOND), scheduler(SECOND)
    owed(place, 3)
    fire = first.claim(SECOND, free=True).fire
    assert fire
    first.renew({fire.token: 10})
    assert second.claim(SECOND, free=True).fire is None
    dead(place)
    taken = second.claim(SECOND, free=True).fire
    assert taken
    assert (taken.fire_at, taken.taken_over, taken.rows) == (fire.fire_at, True, 10)
    # Awake again, the first one has no say in it any more.
    assert first.renew({fire.token: 11}) == {fire.token}
    assert not first.finish(fire, "ran", 11, "")
    assert second.finish(taken, "taken over", 5, "")
    ended = "SELECT state, row_count, attempts FROM batchops_fire WHERE fire_at = :at"
    assert place.rows(ended, at=fire.fire_at) == [("taken over", 15, 2)]


@pytest.mark.in_turn
def test_what_is_let_go_of_is_gone_on_with(place: Database, scheduler: Scheduler) -> None:
    first, second = scheduler(SECOND), scheduler(SECOND)
    owed(place, 3)
    fire = first.claim(SECOND, free=True).fire
    assert fire
    assert first.release(fire, 4)
    taken = second.claim(SECOND, free=True).fire
    assert taken
    assert (taken.fire_at, taken.rows) == (fire.fire_at, 4)


@pytest.mark.in_turn
def test_a_fire_that_kills_is_given_up(place: Database, scheduler: Scheduler) -> None:
    hour = Schedule("hour", Every(HOUR))
    fires = [scheduler(hour) for _ in range(DEATHS + 1)]
    owed(place, HOUR)
    for each in fires[:-1]:
        assert each.claim(hour, free=True).fire
        dead(place)
    last = fires[-1].claim(hour, free=True)
    assert last.fire is None
    assert len(last.given_up) == 1
    assert states(place) == {"failed": 1}


@pytest.mark.in_turn
def test_a_clock_that_is_put_right_again(place: Database, scheduler: Scheduler) -> None:
    """As if it had been a day ahead: what was decided then would keep the schedule from firing for a day."""
    hour = Schedule("hour", Every(HOUR))
    fires = scheduler(hour)
    owed(place, 3 * HOUR)
    fire = fires.claim(hour, free=True).fire
    assert fire
    fires.finish(fire, "ran", 1, "")
    for table, column in (("batchops_fire", "fire_at"), ("batchops_schedule", "since")):
        place.execute(f"UPDATE {table} SET {column} = {column} + 86400")
    claimed = fires.claim(hour, free=True)
    assert claimed.forgotten == 3
    assert claimed.fire is None
    owed(place, HOUR)
    assert fires.claim(hour, free=True).fire


@pytest.mark.in_turn
def test_old_fires_are_forgotten_but_the_newest_is_known(place: Database, scheduler: Scheduler) -> None:
    hour = Schedule("hour", Every(HOUR), MisfirePolicy(missed="skip", misfire_grace_time=0.1))
    fires = scheduler(hour)
    owed(place, 5 * HOUR)
    assert len(fires.claim(hour, free=True).decided) == 5
    place.execute("UPDATE batchops_fire SET finished_at = finished_at - 864000")
    assert fires.prune() == 4
    assert fires.claim(hour, free=True).decided == ()


@pytest.mark.in_turn
def test_a_cleared_table_is_no_end(place: Database, scheduler: Scheduler) -> None:
    hour = Schedule("hour", Every(HOUR))
    fires = scheduler(hour)
    place.execute("DELETE FROM batchops_schedule")
    assert fires.claim(hour, free=True).fire is None
    owed(place, 2 * HOUR)
    assert fires.claim(hour, free=True).fire
