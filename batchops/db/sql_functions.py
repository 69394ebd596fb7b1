"""The time functions and volatile functions of one database."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchops.db.literals import Literal


def listed(names: str) -> frozenset[str]:
    """The names that are in a text with blanks between them."""
    return frozenset(names.split())


@dataclass(frozen=True)
class TimeFunction:
    """How one spelling of the current time is pinned."""

    select: str
    """SQL expression that the server evaluates once, at the start, to text."""
    literal: str
    """Template of the literal put in its place: same type, same precision."""


@dataclass(frozen=True)
class SqlFunctions:
    """What the guard on the user's expressions has to know about one database."""

    dialect: str
    """The name sqlglot knows this database by."""
    time_functions: Mapping[str, TimeFunction]
    """Every spelling that is pinned, in lower case and without blanks."""
    volatile: Mapping[str, str]
    """What is refused, and what to do instead: `f()` is any call of f, `f(1)` a call with one argument,
    `f` or `f g` the bare words."""
    fresh: frozenset[str]
    """Of these, what gives each row a value of its own and so may be set: random, from a sequence, a default."""
    names: frozenset[str]
    """Bare names that no table lists among its columns: system columns, current_user …"""
    quote: str
    """What encloses a name."""
    shadows: frozenset[str]
    """Bare words that mean something of the session's even where a column is called so."""
    folds: bool
    """Whether unquoted names mean lower case and quoted ones are exact; else case never counts in a name."""
    literal: Literal
    """How a value that the user names is written."""
    catalog: str = ""
    """The schema that the built-in functions may be written with."""
    signs: frozenset[str] = frozenset()
    """Operators that would be placeholders or variables in other databases."""
    time_arguments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Functions that read the string 'now' as the present, and at which argument."""
    moments: frozenset[str] = frozenset()
    """Strings that mean the present, or a day counted from it, once they become a time."""
    time_types: frozenset[str] = frozenset()
    """Types that read `moments` so."""
