"""The walks by name: what each follows, when it is taken, and why a table cannot have it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """One walk, for people."""

    follows: str
    taken: str
    """When `--walk auto` takes it."""
    verbs: str
    databases: str
    without: str
    """Why a table cannot have it: what a refusal (exit 12) says."""


WAYS = {
    "keys": Way(
        "the primary key, or a unique index without NULLs",
        "for every backfill; for a purge where neither index nor blocks serve",
        "purge, backfill",
        "all",
        "it has no primary key or unique index without NULLs",
    ),
    "index": Way(
        "an indexed column of the predicate, then the key",
        "where the predicate keeps at most a tenth of the rows by one index",
        "purge",
        "all",
        "the server would not find the rows by one selective index on a column without NULLs",
    ),
    "blocks": Way(
        "the table's blocks, in disk order",
        "where no index is selective",
        "purge",
        "PostgreSQL 14 or later",
        "only a PostgreSQL heap, from version 14 on, can be walked by blocks",
    ),
    "limit": Way(
        "nothing: the first rows that match, again and again",
        "where nothing names a row, and only with --allow no-key; or by --walk limit",
        "purge",
        "all",
        "each batch reads again what earlier ones left behind, so it must be asked for",
    ),
}
