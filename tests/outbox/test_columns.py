"""The usual names of an outbox's columns."""

import pytest

from batchops.outbox.columns import USUAL, recognised


def test_each_name_is_given_once_for_a_purpose() -> None:
    assert {purpose: list(dict.fromkeys(names)) for purpose, names in USUAL.items()} == {
        purpose: [*names] for purpose, names in USUAL.items()
    }


@pytest.mark.parametrize("name", ["aggregate_id", "AggregateId", "aggregate", "stream_id"])
def test_an_aggregate_is_recognised_by_its_usual_names(name: str) -> None:
    assert recognised(["id", name], "aggregate_id") == name
