"""The command line that asks for the same job again, quoted as a person copies it into a shell."""

import re
import shlex
from collections.abc import Iterable
from datetime import timedelta

from batchops import durations
from batchops.runtime.limits import Window
from batchops.spec.models import CHANGES, DATABASE, ROWS, VerbSpec, flag_name, flag_of, flagged

_FIRST = (DATABASE, ROWS, CHANGES)
_EXPANDED = frozenset("$`!")
"""What a shell expands inside double quotes."""


def command(verb: str, spec: VerbSpec, url: str | None) -> str:
    """A command line that asks for the same job again, `url` without its password; empty where none can."""
    if spec.params:
        return ""
    words = ["batchops", verb, getattr(spec, spec.argument)]
    fields = flagged(type(spec))
    # What the job is comes before how it is done.
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
    """The words, quoted so that a POSIX shell gives them back, as readable as may be."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """One word; in double quotes if it has single ones, and nothing that a shell expands there."""
    if "'" in word and not _EXPANDED & set(word):
        return '"' + re.sub(r'([\\"])', r"\\\1", word) + '"'
    return shlex.quote(word)
