"""Writes a recipe with one job from the values of a command line, with the meaning of each key as a comment."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from batchops.db.url_parse import split
from batchops.db.url_references import is_reference
from batchops.errors import UsageError
from batchops.recipes.keys import key
from batchops.spec.models import VerbSpec, flagged

_FIRST = ("table", "url", "where", "older_than", "before", "by", "ids", "all_rows", "set")
"""The fields that say what the job does; they come before those that say how."""
URL = "env:BATCHOPS_URL"
"""Replaces a URL that has a password."""


def written(name: str, verb: str, model: type[VerbSpec], values: Mapping[str, Any]) -> str:
    """Return the TOML text; `values` are written as they were typed."""
    fields = flagged(model)
    given = {field: values[field] for field in (*_FIRST, *fields) if field in values and field in fields}
    head = [
        f"# {name}: {(model.__doc__ or '').strip()}",
        "#",
        "# Run it:                     batchops run FILE",
        "# See first what it would do: batchops run FILE --dry-run",
        "# Its keys are the flags of the verb; `batchops recipe check FILE` looks for mistakes.",
        "",
    ]
    body = [f"[job.{_toml_key(name)}]", f"verb = {_toml(verb)}"]
    for field, value in given.items():
        body += _lines(field, value, fields[field].description or "")
    more = [
        "",
        "# Values that change from run to run: declared here, given by --param NAME=VALUE, named :NAME in SQL,",
        '# and put into any other key as a whole: older-than = { param = "age" }.',
        "# [params]",
        '# age = { type = "duration", default = "90d" }',
    ]
    return "\n".join((*head, *body, *more)) + "\n"


def _lines(field: str, value: Any, text: str) -> Iterator[str]:
    if text:
        yield ""
        yield f"# {text}"
    if field in ("url", "ledger") and (hidden := _without_password(str(value))) is not None:
        yield "# It contained a password, which does not belong in a file that others read."
        value = hidden
    yield f"{key(field)} = {_toml(value)}"


def _without_password(url: str) -> str | None:
    """Return what to write in place of a URL with a password; None for any other URL."""
    if is_reference(url) or "://" not in url:
        return None
    try:
        secret = bool(split(url).secrets)
    except UsageError:
        secret = True
    return URL if secret else None


def _toml(value: Any) -> str:
    """Return a value as TOML, whose strings are those of JSON, except that DEL has to be escaped."""
    if isinstance(value, list | tuple):
        items = [_toml(each) for each in value]
        return items[0] if len(items) == 1 else "[\n" + "".join(f"  {item},\n" for item in items) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if re.fullmatch(r"[0-9]{1,15}", text):
        return str(int(text))
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
