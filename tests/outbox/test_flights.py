"""Real input: departures from New York as events; each aircraft's arrive in the order in which it flew."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from batchops.outbox import Event, save
from tests import flights as nycflights
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.outbox.boxes import made
from tests.outbox.test_brokers import RECEIVERS
from tests.outbox.test_order import until_sent
from tests.outbox.writers import connected
from tests.services.database import Database
from tests.services.server import Server

WRITERS = 8
DEPARTED = """
SELECT tailnum, year, month, day, sched_dep_time, dep_delay, carrier, flight, origin, dest FROM flights
WHERE tailnum IS NOT NULL AND dep_time IS NOT NULL
"""
LONG = [pytest.mark.full, pytest.mark.timeout(1800)]


@dataclass(frozen=True, order=True)
class Departure:
    """A flight that left, the so-manieth of its aircraft."""

    at: datetime
    aircraft: str
    flight: str
    number: int = field(default=0, compare=False)

    @property
    def event(self) -> Event:
        body = {"n": self.number, "at": self.at.isoformat(), "flight": self.flight}
        return Event("aircraft", self.aircraft, "Departed", body)


def departures(database: Database, most: int | None) -> list[Departure]:
    """The first so many in the order of time."""
    found = sorted(_departure(*row) for row in database.rows(DEPARTED))[:most]
    flown: dict[str, int] = {}
    for place, one in enumerate(found):
        flown[one.aircraft] = flown.get(one.aircraft, 0) + 1
        found[place] = Departure(one.at, one.aircraft, one.flight, flown[one.aircraft])
    return found


def _departure(
    tail: str, year: int, month: int, day: int, planned: int, delay: int, carrier: str, flight: int, *way: str
) -> Departure:
    at = datetime(year, month, day) + timedelta(hours=planned // 100, minutes=planned % 100 + delay)
    return Departure(at, tail, f"{carrier}{flight} {'-'.join(way)}")


def write(database: Database, flown: Sequence[Departure]) -> None:
    """By eight writers, the earliest first; each waits until its aircraft's row says that the one before is there."""
    coming, guard, failed = iter(flown), threading.Lock(), list[BaseException]()

    def work() -> None:
        try:
            with closing(connected(database)) as connection:
                while True:
                    with guard:
                        departure = next(coming, None)
                    if departure is None:
                        return
                    while not failed and not _written(connection, departure):
                        time.sleep(0.001)
        except BaseException as error:  # noqa: BLE001  raised again below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _written(connection: Any, departure: Departure) -> bool:
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    cursor.execute("SELECT flown FROM aircraft WHERE tail = %s FOR UPDATE", [departure.aircraft])
    (flown,) = cursor.fetchone()
    if flown != departure.number - 1:
        cursor.execute("ROLLBACK")
        return False
    cursor.execute("UPDATE aircraft SET flown = %s WHERE tail = %s", [departure.number, departure.aircraft])
    save(connection, departure.event)
    cursor.execute("COMMIT")
    return True


def misplaced(received: Iterable[tuple[str, str]]) -> list[str]:
    """The consumer's own check of (aircraft, body), repeats left out: who departed before it had departed before."""
    last: dict[str, tuple[int, str]] = {}
    wrong = []
    for aircraft, body in received:
        told = json.loads(body)
        before, at = last.get(aircraft, (0, ""))
        if told["n"] != before + 1 or told["at"] < at:
            wrong.append(f"{aircraft}: departure {told['n']} of {told['at']} after {before} of {at}")
        last[aircraft] = (told["n"], told["at"])
    return wrong


def test_the_check_finds_what_is_misplaced() -> None:
    first, second = (json.dumps({"n": n, "at": f"2013-01-0{n}T10:00:00"}) for n in (1, 2))
    assert not misplaced([("N1", first), ("N2", first), ("N1", second), ("N2", second)])
    assert len(misplaced([("N1", second), ("N2", first), ("N1", first)])) == 2
    assert len(misplaced([("N1", first), ("N1", json.dumps({"n": 3, "at": "2013-01-03T10:00:00"}))])) == 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "broker", "data", "most"),
    [
        pytest.param("postgresql", "redis", nycflights.JANUARY, 2_000, id="postgresql-redis-days"),
        pytest.param("postgresql", "redis", nycflights.YEAR, None, id="postgresql-redis-year", marks=LONG),
        pytest.param("postgresql", "kafka", nycflights.JANUARY, None, id="postgresql-kafka-month", marks=LONG),
        pytest.param("mariadb", "redis", nycflights.JANUARY, None, id="mariadb-redis-month", marks=LONG),
    ],
)
def test_each_aircraft_departs_in_the_order_it_flew(
    batchops: Batchops, new_database: NewDatabase, service: Callable[[str], Server], name: str, broker: str,
    data: Any, most: int | None, figures: Figures,
) -> None:  # fmt: skip
    database = new_database(name, data)
    receiver: Any = RECEIVERS[broker](service(broker).url)
    made(database)
    flown = departures(database, most)
    database.execute("CREATE TABLE aircraft (tail varchar(6) PRIMARY KEY, flown integer NOT NULL)")
    database.insert("aircraft", ["tail", "flown"], [(tail, 0) for tail in {one.aircraft for one in flown}])
    to = ("--to", receiver.url, "--topic", receiver.topic, "--poll", "50ms", "-q")
    relay = batchops.start("relay", "outbox", "--url", database.url, *to)
    begun = time.monotonic()
    write(database, flown)
    until_sent(database)
    seconds = time.monotonic() - begun
    relay.send_signal(signal.SIGTERM)
    assert relay.wait(60) == 0, relay.communicate()
    came = receiver.everything()
    places: dict[str, int] = {}
    for place, one in enumerate(came):
        places.setdefault(one.id, place)
    once = [came[place] for place in places.values()]
    figures(
        departures=len(flown), aircraft=len({one.aircraft for one in flown}), writers=WRITERS, seconds=seconds,
        repeats=len(came) - len(once),
    )  # fmt: skip
    assert len(once) == len(flown) == database.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL")
    assert misplaced((one.key, one.body.decode()) for one in once) == []
