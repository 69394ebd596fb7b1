"""How the rows of a batch are found: one file per strategy, and this registry of them."""

from batchops.bulk.strategies import block, ids, key_choice, limit, match
from batchops.bulk.strategies.list import STRATEGY as LIST
from batchops.bulk.strategies.strategy import StrategyKind
from batchops.errors import RefusedError

STRATEGIES: tuple[StrategyKind, ...] = (
    ids.STRATEGY, LIST, match.STRATEGY, block.STRATEGY, key_choice.STRATEGY, limit.STRATEGY,
)  # fmt: skip
"""All strategies, in the order of preference if no cost decides. The name of a new one goes into
`spec.typed.StrategyName` too; a test compares them."""


def strategy_kind(name: str) -> StrategyKind:
    """Return the strategy of that name; RefusedError for one that only another version has."""
    for kind in STRATEGIES:
        if kind.name == name:
            return kind
    raise RefusedError(
        f'This version of batchops has no strategy "{name}".',
        "finish the run with the version that started it, or start from the beginning with --restart.",
    )
