"""`batchops walks`: the table of walks, and that a refusal says the same."""

import json

import pytest

import batchops as library
from batchops.bulk.plan.strategy_texts import WAYS
from tests.command import Batchops
from tests.services.database import Database


def test_people_and_machines_get_every_walk(batchops: Batchops) -> None:
    text = batchops("walks")
    document = json.loads(batchops("walks", "--json").out)
    assert text.code == 0
    assert [one["walk"] for one in document["walks"]] == list(WAYS)
    for way in WAYS.values():
        assert way.follows in text.out
        assert way.without in text.out


def test_a_refusal_says_what_the_table_says(sqlite: Database) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    with pytest.raises(library.BatchopsError) as refused:
        library.purge(url=sqlite.url, table="t", where="v = 1", walk="blocks")
    assert refused.value.exit == 12
    assert WAYS["blocks"].without in refused.value.message
    assert "batchops walks" in (refused.value.hint or "")
