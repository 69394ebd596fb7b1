"""The strategies by name: what each follows, when it is chosen, and why a table cannot have it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StrategyText:
    """One strategy, for people."""

    follows: str
    chosen: str
    """When `--strategy auto` chooses it."""
    verbs: str
    databases: str
    refusal: str
    """Why a table cannot have it: what a refusal (exit 12) says."""


STRATEGY_TEXTS = {
    "key": StrategyText(
        "the primary key, or a unique index without NULLs",
        "for every backfill; for a purge that can use neither index nor block",
        "purge, backfill",
        "all",
        "it has no primary key or unique index without NULLs",
    ),
    "index": StrategyText(
        "an indexed column of the condition, then the key",
        "if one index selects at most a tenth of the rows",
        "purge",
        "all",
        "the server would not find the rows by one selective index on a column without NULLs",
    ),
    "block": StrategyText(
        "the table's blocks, in disk order",
        "if no index is selective",
        "purge",
        "PostgreSQL 14 or later",
        "only a PostgreSQL heap, from version 14 on, can be scanned by block",
    ),
    "limit": StrategyText(
        "none: each batch takes the first rows that match",
        "for a table without a key, with --allow no-key; or with --strategy limit",
        "purge",
        "all",
        "each batch reads again the index entries of deleted rows, so it must be requested",
    ),
}
