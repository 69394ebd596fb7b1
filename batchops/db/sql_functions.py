"""The time functions and volatile functions of one database."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchops.db.literals import Literal


def listed(names: str) -> frozenset[str]:
    """Return the names in a text that separates them by blanks."""
    return frozenset(names.split())


@dataclass(frozen=True)
class TimeFunction:
    """How one spelling of a time function is pinned."""

    select: str
    """SQL expression that the server evaluates to text once, at the start of the run."""
    literal: str
    """Template of the literal that replaces it, of the same type and precision."""


@dataclass(frozen=True)
class SqlFunctions:
    """What the checks of the user's expressions need to know about one database."""

    dialect: str
    """The name sqlglot knows this database by."""
    time_functions: Mapping[str, TimeFunction]
    """Every spelling of a time function that is pinned, in lower case and without blanks."""
    volatile: Mapping[str, str]
    """What is refused, and what to do instead: `f()` is any call of f, `f(1)` a call with one argument,
    `f` or `f g` the bare words."""
    fresh: frozenset[str]
    """Those of `volatile` that --set may use: each row gets a value of its own (random, of a sequence, a default)."""
    names: frozenset[str]
    """Bare names that are valid although no table has such a column: system columns, current_user …"""
    quote: str
    """The quote around names."""
    shadows: frozenset[str]
    """Bare words that mean the session's user or time even where a column has that name."""
    folds: bool
    """Whether unquoted names mean lower case and quoted names are exact; otherwise case never counts in a name."""
    literal: Literal
    """Writes a value that the user names as a literal."""
    catalog: str = ""
    """The schema that may be written before the built-in functions."""
    signs: frozenset[str] = frozenset()
    """Operators of this database that mean placeholders or variables in others."""
    time_arguments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Functions that read the string 'now' as the current time, with the indexes of the arguments that they read so."""
    moments: frozenset[str] = frozenset()
    """Strings that mean the current time, or a day relative to it, when they are converted to a time."""
    time_types: frozenset[str] = frozenset()
    """Types whose conversion from text reads `moments` so."""
