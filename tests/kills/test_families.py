"""kill -9 of archives with children of 200,000 rows: no row of any table is lost, none is in both."""

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.kills.conftest import NewPlace
from tests.kills.families import archived_under_kills
from tests.kills.killing import CASES, LARGE
from tests.kills.places import Folder, Store

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("name", "workers", "way"), [case for case in CASES if case[2] != "same"])
def test_kills(
    batchops: Batchops, new_database: NewDatabase, new_place: NewPlace, figures: Figures, name: str, workers: str,
    way: str,
) -> None:  # fmt: skip
    database = new_database(name)
    place = new_place(database, way)
    assert isinstance(place, Folder | Store)
    archived_under_kills(batchops, database, place, workers, LARGE, figures)
