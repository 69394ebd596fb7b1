"""A command line as a person copies it into a shell."""

import shlex
from collections.abc import Iterable

_EXPANDED = frozenset('$`\\!"')
"""What a shell reads inside double quotes."""


def joined(words: Iterable[str]) -> str:
    """The words, quoted so that a POSIX shell gives them back, as readable as may be."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """One word; in double quotes where it holds single ones and nothing that a shell reads inside double quotes."""
    if "'" in word and not _EXPANDED & set(word):
        return f'"{word}"'
    return shlex.quote(word)
