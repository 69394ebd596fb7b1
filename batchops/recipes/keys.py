"""Makes the spec of a verb from the keys of a job, and reports every mistake in them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, create_model

from batchops.errors import did_you_mean
from batchops.recipes.mistakes import Mistake
from batchops.recipes.params import IDENTIFIER, Param
from batchops.spec.foreign_names import option_hint
from batchops.spec.messages import validation_message
from batchops.spec.models import flag_of, flagged

M = TypeVar("M", bound=BaseModel)
NAMES = frozenset({"table", "by", "key", "ledger_schema"})
"""Fields that hold names of tables or columns: a parameter that fills one must be an identifier."""


@dataclass(frozen=True)
class Given:
    """The value that a recipe gives a field, and the line where it does."""

    value: Any
    line: int
    default: bool = False
    """Whether it comes from [defaults]."""


@dataclass(frozen=True)
class Unknown:
    """Stands for a value that is not known: of a parameter without one, or of a field with a mistake."""


def key(field: str) -> str:
    """Return a field's name as a recipe spells it: like the flag, without the dashes before it."""
    return field.replace("_", "-")


def filled(
    fields: Mapping[str, Given], model: type[BaseModel], params: Mapping[str, Param], mistakes: list[Mistake]
) -> dict[str, Any]:
    """Return the values of the fields, with parameters filled in; a field with a mistake is Unknown."""
    values: dict[str, Any] = {}
    for name, given in fields.items():
        against = list(_value_mistakes(name, given.value, model, params))
        mistakes += [Mistake(given.line, f"{key(name)}: {message}.", hint) for message, hint in against]
        values[name] = Unknown() if against else _value(given.value, params)
    return values


def _value_mistakes(
    name: str, value: Any, model: type[BaseModel], params: Mapping[str, Param]
) -> Iterator[tuple[str, str]]:  # fmt: skip
    field = model.model_fields[name]
    if isinstance(value, bool) and field.annotation is not bool:
        yield f"{str(value).lower()} is not a value for it", ""
    if not isinstance(value, dict):
        return
    if list(value) != ["param"] or not isinstance(value["param"], str):
        yield "a table is not a value for it", 'a parameter is put in by { param = "NAME" }.'
        return
    if flag_of(field).kind != "value":
        hint = "write :NAME where its value is wanted." if flag_of(field).kind == "sql" else "write it out."
        yield "a parameter cannot set it: what is run is written in the recipe", hint
    param = params.get(value["param"])
    if param is None:
        hint = did_you_mean(value["param"], params) or "declare it in [params]."
        yield f'there is no parameter "{value["param"]}"', hint
    elif name in NAMES and param.type not in (IDENTIFIER, ""):
        yield f'parameter "{param.name}" is of the type {param.type}', 'a name needs type = "identifier".'


def _value(value: Any, params: Mapping[str, Param]) -> Any:
    if isinstance(value, dict):
        value = params[value["param"]].value
        value = Unknown() if value is None else value
    # TOML has its own type for moments; flags are text.
    return value.isoformat(" ") if isinstance(value, datetime) else _plain(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | time) else value


def checked_all(
    model: type[M], values: Mapping[str, Any], lines: Mapping[str, int], line: int, mistakes: list[Mistake]
) -> M | None:
    """Return the model made from the values, or None; add every mistake to `mistakes`.

    Mistakes are those of single fields and those of fields together.
    """
    wrong = [name for name, value in values.items() if isinstance(value, Unknown)]
    while True:
        try:
            built = _lenient(model, wrong)(**values)
        except ValidationError as error:
            mistakes += _mistakes_of(error, lines, line)
            found = [str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]]
            if not found:
                return None
            # Fields are checked together only once each one is valid by itself; until then wrong ones count as given.
            values = dict.fromkeys(found, Unknown()) | dict(values)
            wrong += found
        except (TypeError, AttributeError):
            if not wrong:
                raise
            return None  # a check of fields together met a field that is wrong by itself, which is reported already
        else:
            return None if wrong else built


def _lenient(model: type[M], wrong: Sequence[str]) -> type[M]:
    """Return the model, changed so that these fields take any value."""
    if not wrong:
        return model
    fields: dict[str, Any] = dict.fromkeys(wrong, (Any, ...))
    return create_model(model.__name__, __base__=model, **fields)


def _mistakes_of(error: ValidationError, lines: Mapping[str, int], line: int) -> list[Mistake]:
    messages = [validation_message(each, key) for each in error.errors(include_url=False)]
    return [Mistake(lines.get(each.field, line), _as_keys(each.text)) for each in messages]


def _as_keys(text: str) -> str:
    """Return a message with the flags that it names written as keys."""
    return re.sub(r"(?<![\w-])--(?=[a-z])", "", text)


def stray(name: str, verb: str, models: Mapping[str, type[BaseModel]], known: Iterable[str]) -> tuple[str, str]:
    """Return the message about a key that the verb does not have, and a hint."""
    having = [other for other, model in models.items() if name in flagged(model)]
    has = f"{' and '.join(having)} {'has' if len(having) == 1 else 'have'} it." if having else ""
    names = [key(each) for each in known]
    return f'{verb} has no key "{key(name)}".', foreign_key(name, names) or did_you_mean(key(name), names) or has


def foreign_key(name: str, names: Iterable[str]) -> str:
    """Return a hint on the key here for another tool's key of that name; empty if none of `names` does the same."""
    return _as_keys(option_hint(name, [f"--{each}" for each in names]))
