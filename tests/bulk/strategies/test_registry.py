"""The registry of strategies: what may be asked for by name, and what each kind says of itself."""

from typing import get_args

import pytest

from batchops.bulk.strategies import STRATEGIES, strategy_kind
from batchops.bulk.strategies.strategy import AUTO
from batchops.errors import RefusedError
from batchops.spec.typed import StrategyName


def test_the_option_takes_every_strategy_that_is_no_list() -> None:
    assert set(get_args(StrategyName)) == {AUTO} | {kind.name for kind in STRATEGIES if not kind.takes_ids}


def test_names_are_unique_and_say_who_serves_a_backfill() -> None:
    assert len({kind.name for kind in STRATEGIES}) == len(STRATEGIES)
    assert {kind.name for kind in STRATEGIES if kind.once} == {
        kind.name for kind in STRATEGIES if "backfill" in kind.text.verbs
    }


def test_a_run_by_a_strategy_of_another_version_is_refused() -> None:
    with pytest.raises(RefusedError, match='no strategy "spiral"') as refused:
        strategy_kind("spiral")
    assert "--restart" in (refused.value.hint or "")
