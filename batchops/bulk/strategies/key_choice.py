"""When the strategy key is chosen, and what it costs."""

from batchops.bulk.strategies.key import KeyStrategy
from batchops.bulk.strategies.key_stretch import KeyStretch
from batchops.bulk.strategies.strategy import Choice, Situation, StrategyKind, StrategyText


def _choose(situation: Situation) -> Choice | None:
    key, leaves = situation.key, None if situation.once else situation.leaves
    if key is None:
        return None
    stretch = KeyStretch(situation.backend, situation.selection, key.columns)
    rows = situation.rows if leaves else stretch.rows(situation.connection)
    walked = None if rows is None else situation.backend.keys.in_order * rows
    cost = None if walked is None else walked + situation.asked(walked) + situation.repeated(walked)
    if leaves and all(any(own.columns == key.columns for own in leaf.keys) for leaf in leaves):
        return Choice(KeyStrategy.name, key.columns, f"{situation.partitions}, each along its key", leaves, cost)
    why = f"each row is named by {', '.join(key.columns)}"
    if leaves is not None:
        why = "the partitions cannot be processed one by one, so the parent is, by its key"
    return Choice(KeyStrategy.name, key.columns, why, cost=cost)


STRATEGY = StrategyKind(
    KeyStrategy.name,
    StrategyText(
        follows="the primary key, or a unique index without NULLs",
        chosen="if much of the table matches, the condition bounds the key itself, or no plan is faster",
        verbs="purge, backfill",
        databases="all",
        refusal="it has no primary key or unique index without NULLs",
    ),
    _choose,
    lambda target: KeyStrategy(target.backend, target.selection, target.key),
    once=True,
    names_rows=True,
)
