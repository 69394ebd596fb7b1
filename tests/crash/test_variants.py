"""The right code passes what each deliberately wrong variant fails."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.command import Batchops
from tests.crash.scenario import killed_in_commit, stopped_and_taken_over
from tests.crash.variants import Variant
from tests.services.database import Database


@pytest.fixture
def variant(request: pytest.FixtureRequest, batchops: Batchops) -> Iterator[Variant]:
    with closing(Variant(batchops.home, request.param)) as variant:
        yield variant


def test_killed_in_commit(batchops: Batchops, served: Database) -> None:
    assert killed_in_commit(batchops, batchops, served) is None


@pytest.mark.full
@pytest.mark.parametrize("variant", ["apart"], indirect=True)
def test_killed_in_commit_finds_a_cursor_committed_apart(
    variant: Variant, batchops: Batchops, served: Database
) -> None:
    assert killed_in_commit(variant, batchops, served) is not None


@pytest.mark.full
@pytest.mark.parametrize("variant", ["unfenced"], indirect=True)
def test_stopped_and_taken_over_finds_a_missing_fence(variant: Variant, batchops: Batchops, served: Database) -> None:
    wrong, _ = stopped_and_taken_over(variant, batchops, served)
    assert wrong is not None
