"""Real input: flights as a work queue; a handler reckons each great-circle distance and writes it back."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from tests import flights as nycflights
from tests.command import Batchops
from tests.figures import Figures
from tests.services.database import FAMILIES, Database

RADIUS = 3958.7613
_PLACES: dict[str, tuple[float, float]] = {}


def great_circle(rows: Sequence[dict[str, Any]], connection: sa.Connection) -> None:
    """Writes `circle` in miles, where both airports are known; inside the finalising transaction."""
    if not _PLACES:
        found = connection.execute(sa.text("SELECT faa, lat, lon FROM airports")).all()
        _PLACES.update({faa: (lat, lon) for faa, lat, lon in found})
    flights: dict[float, list[int]] = {}
    for row in rows:
        if row["dest"] in _PLACES:
            circle = _miles(*_PLACES[row["origin"]], *_PLACES[row["dest"]])
            flights.setdefault(circle, []).append(row["id"])
    update = sa.text("UPDATE flights SET circle = :circle WHERE id IN :ids")
    update = update.bindparams(sa.bindparam("ids", expanding=True))
    for circle, ids in flights.items():
        connection.execute(update, {"circle": circle, "ids": ids})


def _miles(lat: float, lon: float, lat2: float, lon2: float) -> float:
    a, b = math.radians(lat), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon) / 2) ** 2
    return 2 * RADIUS * math.asin(math.sqrt(half))


_SQL = (
    f"2 * {RADIUS} * asin(sqrt(power(sin(radians(d.lat - o.lat) / 2), 2)"
    " + cos(radians(o.lat)) * cos(radians(d.lat)) * power(sin(radians(d.lon - o.lon) / 2), 2)))"
)
_FROM = "FROM airports o, airports d WHERE o.faa = origin AND d.faa = dest"
ONE_STATEMENT = {
    "postgresql": f"UPDATE flights SET wanted = {_SQL} {_FROM}",
    "mysql": f"UPDATE flights JOIN airports o ON o.faa = origin JOIN airports d ON d.faa = dest SET wanted = {_SQL}",
    "sqlite": f"UPDATE flights SET wanted = {_SQL} {_FROM}",
}
LONG = [pytest.mark.full, pytest.mark.timeout(1800)]
CASES = [
    pytest.param("postgresql", nycflights.JANUARY, 4, id="postgresql-days"),
    pytest.param("postgresql", nycflights.YEAR, 31, id="postgresql-year", marks=LONG),
    *(pytest.param(name, nycflights.JANUARY, 31, id=f"{name}-month", marks=LONG) for name in FAMILIES),
]


@pytest.mark.full
@pytest.mark.parametrize(("name", "flights", "days"), CASES)
def test_great_circles_equal_one_statement(
    batchops: Batchops, new_database: Callable[..., Database], name: str, flights: Any, days: int, figures: Figures
) -> None:
    database = new_database(name, flights)
    number = "double precision" if database.backend == "postgresql" else "double"
    for column in (f"circle {number}", f"wanted {number}", "todo integer NOT NULL DEFAULT 1"):
        database.execute(f"ALTER TABLE flights ADD COLUMN {column}")
    made = batchops("queue", "init", "flights", "--apply", "--url", database.url)
    assert made.code == 0, made.err
    database.execute(f"DELETE FROM flights WHERE day > {days}")
    rows = database.scalar("SELECT count(*) FROM flights")
    args = ("--where", "todo = 1", "--done", "todo = 0", "--call", "tests.queue.test_flights:great_circle")
    result = batchops("drain", "flights", "--url", database.url, *args, "--workers", "2", "--json")
    assert result.code == 0, result.err
    document = result.json()
    assert document["rows"] == rows
    if database.backend == "sqlite":
        circles(database)
    else:
        database.execute(ONE_STATEMENT[database.backend])
    far = "SELECT count(*) FROM flights WHERE abs(circle - wanted) > 1e-6 OR (circle IS NULL) <> (wanted IS NULL)"
    assert database.scalar(far) == 0
    known = database.scalar("SELECT count(circle) FROM flights")
    assert known > 0.9 * rows
    figures(flights=rows, seconds=document["seconds"], distances_as_one_statement_gives_them=known)


def circles(database: Database) -> None:
    """One statement for SQLite, whose own functions may lack the trigonometry."""
    with database.engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        for name, function in (("radians", math.radians), ("sin", math.sin), ("cos", math.cos), ("asin", math.asin)):
            driver.create_function(name, 1, function)
        driver.create_function("sqrt", 1, math.sqrt)
        driver.create_function("power", 2, math.pow)
        connection.exec_driver_sql(ONE_STATEMENT["sqlite"])
