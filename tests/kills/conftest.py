"""Buckets of a store, and the destinations of archives by their names."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bulk.archiving.bucket import Bucket
from tests.kills.killing import LARGE, Size
from tests.kills.places import Folder, OtherTable, Place, Store
from tests.services.database import Database
from tests.services.http_proxy import HttpProxy
from tests.services.s3 import new_bucket
from tests.services.server import Server

NewPlace = Callable[[Database, str], Place]


@pytest.fixture
def size() -> Size:
    """How many rows there are, and how many kills."""
    return LARGE


@pytest.fixture
def empty_bucket(service: Callable[[str], Server]) -> Iterator[Callable[[], Bucket]]:
    """Makes an empty bucket; the store starts with the first."""
    with ExitStack() as stack:

        def empty_bucket() -> Bucket:
            store = service("s3")
            return Bucket(new_bucket(store), stack.enter_context(HttpProxy(store.url)))

        yield empty_bucket


@pytest.fixture
def new_place(empty_bucket: Callable[[], Bucket], tmp_path: Path) -> NewPlace:
    """Makes a destination by its name."""

    def new_place(database: Database, name: str) -> Place:
        if name == "same":
            return OtherTable().made(database)
        if name.startswith("s3-"):
            return Store(empty_bucket(), name.removeprefix("s3-"))
        return Folder(tmp_path / "archive", name)

    return new_place
