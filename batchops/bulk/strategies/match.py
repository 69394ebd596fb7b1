"""The strategy match: reads which rows match by the server's own plan, then changes these rows."""

from batchops.bulk.strategies.block import FURTHER_PASSES
from batchops.bulk.strategies.match_keys import MatchStrategy
from batchops.bulk.strategies.match_places import MatchByPlace
from batchops.bulk.strategies.strategy import AUTO, Choice, Situation, StrategyKind, StrategyText, Target

NAME = "match"
WHY = "the server's own plan finds the rows"


def _choose(situation: Situation) -> Choice | None:
    if situation.wanted == AUTO and situation.work is None:
        return None
    return _by_place(situation) or _by_key(situation)


def _by_place(situation: Situation) -> Choice | None:
    blocks, places = situation.backend.blocks, situation.backend.places
    if situation.once or situation.named or blocks is None or places is None:
        return None
    tables = (situation.table,) if situation.leaves is None else situation.leaves
    if not tables or not all(blocks.serves(situation.connection, table) for table in tables):
        return None
    return Choice(NAME, (), WHY, situation.leaves or (), _cost(situation, places.look_up))


def _by_key(situation: Situation) -> Choice | None:
    key = situation.key
    if key is None or (situation.leaves is not None and not (situation.once or situation.named)):
        return None
    return Choice(NAME, key.columns, WHY, cost=_cost(situation, situation.backend.whole_keys.look_up))


def _cost(situation: Situation, look_up: float) -> float | None:
    if situation.work is None:
        return None
    found = look_up * situation.work.rows
    return situation.work.read + found + situation.repeated(found)


def _build(target: Target) -> MatchStrategy:
    if target.key:
        return MatchStrategy(target)
    blocks, places = target.backend.blocks, target.backend.places
    assert blocks is not None  # chosen because they exist, and pinned with the table's identity
    assert places is not None
    return MatchByPlace(target, places, blocks, further_passes=FURTHER_PASSES if target.look_again else 0)


STRATEGY = StrategyKind(
    NAME,
    StrategyText(
        follows="the matching rows, which are read first: their places, or their keys",
        chosen="if the server finds the matching rows faster than the table is read",
        verbs="purge, backfill",
        databases="all",
        refusal="its rows have neither a place nor a key that can be followed",
    ),
    _choose,
    _build,
    once=True,
    reads_matches=True,
    names_rows=True,
)
