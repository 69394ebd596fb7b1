"""command(): the command line that asks for the same job again, quoted for a shell."""

import re
import shlex
from collections.abc import Iterable
from datetime import timedelta

from batchops import durations
from batchops.runtime.limits import Window
from batchops.spec.models import CHANGES, DATABASE, ROWS, VerbSpec, flag_name, flag_of, flagged

_FIRST = (DATABASE, ROWS, CHANGES)
_EXPANDED = frozenset("$`!")
"""The characters that a shell expands inside double quotes."""


def command(verb: str, spec: VerbSpec, url: str | None) -> str:
    """Return a command line that asks for the same job again; empty if none can. `url` must hold no password."""
    if spec.params:
        return ""
    words = ["batchops", verb, getattr(spec, spec.argument)]
    fields = flagged(type(spec))
    # The options that say what the job is come before those that say how it is done.
    for name in sorted(fields, key=lambda name: flag_of(fields[name]).group not in _FIRST):
        value = getattr(spec, name)
        if (
            name in (spec.argument, "restart", "same_table", "count")
            or value == fields[name].get_default()
            or value is None
        ):
            continue
        if name == "url":
            words += ["--url", url or ""]
        elif value is True:
            words.append(flag_name(name))
        else:
            for one in value if flag_of(fields[name]).several else (value,):
                words += [flag_name(name), _shown(one)]
    return joined(words)


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return durations.show(value).replace(" ", "")
    if isinstance(value, Window):
        return f"{value.start:%H:%M}-{value.end:%H:%M}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def joined(words: Iterable[str]) -> str:
    """Return the words as a command line, quoted for a POSIX shell, but no more than needed."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return the word quoted; in double quotes if it has single quotes and nothing that a shell expands there."""
    if "'" in word and not _EXPANDED & set(word):
        return '"' + re.sub(r'([\\"])', r"\\\1", word) + '"'
    return shlex.quote(word)
