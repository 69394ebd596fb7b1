"""Parameters that a recipe declares: their types, and their values from the file or from `--param`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from batchops import durations
from batchops.db.literals import Value
from batchops.errors import UsageError, did_you_mean
from batchops.recipes.mistakes import Mistake
from batchops.recipes.toml_lines import TomlSource

KEYS = ("type", "default", "description")
"""The keys of a parameter's declaration."""
IDENTIFIER = "identifier"
"""The type for names of tables and columns: such a parameter fills a field, and is never a value in SQL."""
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Param:
    """One parameter."""

    name: str
    type: str
    value: Value | None
    """The given value, else the default; None: there is neither."""
    line: int = 0
    description: str = ""


def _integer(value: object) -> Value:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("is not a whole number")


def _number(value: object) -> Value:
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError("is not a number")
    return number


def _text(value: object) -> Value:
    if not isinstance(value, str):
        raise ValueError("is not text: put it in quotes")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("holds what no database takes as text")
    return value


def _date(value: object) -> Value:
    try:
        found = date.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, date) or isinstance(found, datetime):
        raise ValueError("is not a date like 2026-01-31")
    return found


def _timestamp(value: object) -> Value:
    try:
        found = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime):
        raise ValueError("is not a moment like 2026-01-31 12:00:00")
    return found


def _duration(value: object) -> Value:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("is not a duration like 90d: put it in quotes, with its unit")
    return durations.parse(value)


def _boolean(value: object) -> Value:
    words = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if isinstance(value, bool):
        return value
    raise ValueError("is neither true nor false")


def _identifier(value: object) -> Value:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ValueError("is not the name of a table or column")
    return value


TYPES: dict[str, Callable[[object], Value]] = {
    "integer": _integer,
    "number": _number,
    "text": _text,
    "date": _date,
    "timestamp": _timestamp,
    "duration": _duration,
    "boolean": _boolean,
    IDENTIFIER: _identifier,
}
"""The types of parameters, each with the function that reads a value as one; its ValueError says why it cannot."""


def declared(source: TomlSource) -> tuple[dict[str, Param], list[Mistake]]:
    """Return the parameters of a recipe with their defaults, and the mistakes; a wrong one may lack type and value."""
    table, mistakes, params = source.values.get("params", {}), list[Mistake](), dict[str, Param]()
    if not isinstance(table, dict):
        return {}, [Mistake(source.line("params"), "params is not a table.", "write [params].")]
    for name, settings in table.items():
        line = source.line("params", name)
        for message, hint in _declaration_mistakes(name, settings):
            mistakes.append(Mistake(line, f'Parameter "{name}" {message}.', hint))
        params[name] = _param(name, settings if isinstance(settings, dict) else {}, line)
    return params, mistakes


def _declaration_mistakes(name: str, settings: Any) -> Iterable[tuple[str, str]]:
    if not _NAME.fullmatch(name):
        yield "has a name that :name could not name", "use letters, digits and _."
    if not isinstance(settings, dict):
        yield "is not declared", f'write {name} = {{ type = "text", default = … }}.'
        return
    for key in settings:
        if key not in KEYS:
            yield f'has no setting "{key}"', did_you_mean(key, KEYS) or f"there are {', '.join(KEYS)}."
    kind = settings.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        wrong = "has no type" if kind is None else f'has the type "{kind}", which there is not'
        yield wrong, did_you_mean(str(kind), TYPES) or f"the types are {', '.join(TYPES)}."
    elif "default" in settings and (wrong := _type_error(kind, settings["default"])):
        yield f"has a default that {wrong}", ""


def _type_error(kind: str, value: object) -> str:
    try:
        TYPES[kind](value)
    except ValueError as error:
        return str(error).rstrip(".")
    return ""


def _param(name: str, settings: Mapping[str, Any], line: int) -> Param:
    kind, default = settings.get("type"), settings.get("default")
    known = kind if isinstance(kind, str) and kind in TYPES else ""
    value = TYPES[known](default) if known and default is not None and not _type_error(known, default) else None
    return Param(name, known, value, line, str(settings.get("description", "")))


def with_values(params: Mapping[str, Param], given: Mapping[str, str]) -> dict[str, Param]:
    """Return the parameters with the values of `--param NAME=VALUE`; UsageError for a wrong name or value."""
    filled = dict(params)
    for name, text in given.items():
        param = params.get(name)
        if param is None:
            hint = did_you_mean(name, params) or (f"it declares {', '.join(params)}." if params else "")
            raise UsageError(f"--param {name}: the recipe declares no such parameter.", hint)
        if not param.type:
            continue  # its declaration has a mistake, which is reported by itself
        if wrong := _type_error(param.type, text):
            raise UsageError(f'--param {name}: "{text}" {wrong} ({param.type}).')
        filled[name] = Param(name, param.type, TYPES[param.type](text), param.line, param.description)
    return filled


def assignments(words: Iterable[str]) -> dict[str, str]:
    """Return words of the form `NAME=VALUE` as a mapping; UsageError for any other word."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {word}: it is not of the form NAME=VALUE.", "for example --param days=30.")
        if name.strip() in given:
            raise UsageError(f"--param {name}: it is given twice.")
        given[name.strip()] = value
    return given
