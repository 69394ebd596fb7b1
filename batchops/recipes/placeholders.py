"""`:name` in a recipe's SQL: the value of the parameter of that name; a name that is not declared is a mistake."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from batchops.db.registry import registrations
from batchops.errors import UsageError, did_you_mean
from batchops.recipes.keys import Given, key
from batchops.recipes.mistakes import Mistake
from batchops.recipes.params import IDENTIFIER, Param
from batchops.spec.models import Flag, VerbSpec, flag_of, flagged
from batchops.sql.tokens import SqlTokens, tokenize
from batchops.sql.validators import refuse_aggregates, refuse_statements, value_names

S = TypeVar("S", bound=VerbSpec)
_NAMED = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")


def bound(spec: S, params: Mapping[str, Param]) -> S:
    """Return the spec with the values that its SQL names, and no others: they are part of the job's identity."""
    named = {name for text in _texts(spec.__dict__, type(spec)) for name in _NAMED.findall(text)}
    values = {name: params[name].value for name in sorted(named) if name in params and params[name].value is not None}
    return spec.model_copy(update={"params": values}) if values else spec


def against(fields: Mapping[str, Given], model: type[BaseModel], params: Mapping[str, Param]) -> list[Mistake]:
    """Return the mistakes in the SQL of these fields that can be found without a database."""
    found = []
    for name, given in fields.items():
        check = _check_for(flag_of(model.model_fields[name]))
        for text in _texts({name: given.value}, model):
            mistakes = _mistakes(text, params, check)
            found += [Mistake(given.line, f"{key(name)}: {message}.", hint) for message, hint in mistakes]
    return found


def _check_for(flag: Flag) -> Callable[[SqlTokens], None]:
    """Return the check for the SQL of a flag, chosen by the form of the flag's metavar."""
    if "->" in flag.metavar:
        return refuse_aggregates  # a condition may follow the edge, which has been checked before
    return _check_assignment if "=" in flag.metavar else _check_condition


def _texts(values: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    for name, field in flagged(model).items():
        value = values.get(name)
        if flag_of(field).kind == "sql":
            listed = value if isinstance(value, list | tuple) else (value,)
            yield from (text for text in listed if isinstance(text, str))


def _mistakes(
    text: str, params: Mapping[str, Param], check: Callable[[SqlTokens], None]
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Yield only the mistakes that the text has in every database's dialect, each with a hint."""
    refused, names = list[UsageError](), list[set[str]]()
    dialects = {one.dialect for one in registrations()}
    for dialect in dialects:
        try:
            tokens = tokenize(text, dialect)
            check(tokens)
            names.append({tokens.at(index + 1).written for index in value_names(tokens)})
        except UsageError as error:
            refused.append(error)
    if len(refused) == len(dialects):
        yield refused[0].message, refused[0].hint
        return
    for name in sorted(set.intersection(*names)):
        if name not in params:
            hint = did_you_mean(name, params) or "declare it in [params], or write the value itself."
            yield f'it names ":{name}", which is not declared', hint
        elif params[name].type == IDENTIFIER:
            yield f'parameter "{name}" is a name and cannot stand for a value', "a value has another type."


def _check_condition(tokens: SqlTokens) -> None:
    refuse_statements(tokens)
    refuse_aggregates(tokens)


def _check_assignment(tokens: SqlTokens) -> None:
    equals = 3 if tokens.at(1).written == "." else 1
    if tokens.at(equals).written != "=" or tokens.at(equals - 1).kind not in {"word", "name"}:
        raise UsageError("it is not of the form column = expression", "for example \"status = 'done'\"")
    refuse_aggregates(tokens)
