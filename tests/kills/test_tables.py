"""kill -9 of archives of a large table, to every kind of destination: no row is lost, none is in both."""

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.kills.conftest import NewPlace
from tests.kills.killing import CASES, OTHERS, Size, archived_under_kills
from tests.kills.places import OtherTable

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("name", "workers", "way"), CASES)
def test_kills(
    batchops: Batchops, new_database: NewDatabase, new_place: NewPlace, figures: Figures, size: Size,
    name: str, workers: str, way: str,
) -> None:  # fmt: skip
    database = new_database(name)
    archived_under_kills(batchops, database, new_place(database, way), workers, size, figures)


@pytest.mark.parametrize(("source", "there", "workers"), OTHERS)
def test_kills_between_two_databases(
    batchops: Batchops, new_database: NewDatabase, figures: Figures, size: Size, source: str,
    there: str, workers: str,
) -> None:  # fmt: skip
    database = new_database(source)
    place = OtherTable(new_database(there)).made(database)
    archived_under_kills(batchops, database, place, workers, size, figures)
