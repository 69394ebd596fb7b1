"""`batchops strategies`: the table of strategies, and that a refusal says the same."""

import json

import pytest

import batchops as library
from batchops.bulk.strategies import STRATEGIES, strategy_kind
from tests.command import Batchops
from tests.services.database import Database


def test_people_and_machines_get_every_strategy(batchops: Batchops) -> None:
    text = batchops("strategies")
    document = json.loads(batchops("strategies", "--json").out)
    assert text.code == 0
    assert [one["strategy"] for one in document["strategies"]] == [kind.name for kind in STRATEGIES]
    for kind in STRATEGIES:
        assert kind.text.follows in text.out
        assert kind.text.refusal in text.out


def test_a_refusal_says_what_the_table_says(sqlite: Database) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    with pytest.raises(library.BatchopsError) as refused:
        library.purge(url=sqlite.url, table="t", where="v = 1", strategy="block")
    assert refused.value.exit == 12
    assert strategy_kind("block").text.refusal in refused.value.message
    assert "batchops strategies" in (refused.value.hint or "")
