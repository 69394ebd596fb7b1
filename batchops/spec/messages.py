"""validation_message(): turns pydantic's errors into messages that use the names of flags or keys."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from batchops import durations

_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"))


@dataclass(frozen=True)
class ValidationMessage:
    """What is wrong with a value, with a hint."""

    field: str
    """The name of the field; empty if several fields are wrong together."""
    message: str
    hint: str = ""
    spelled: str = ""
    """The field as the user wrote it: as a flag or a key."""

    @property
    def text(self) -> str:
        """The message as a sentence."""
        if self.spelled:
            return f"{self.spelled}{self.message}."
        return self.message[:1].upper() + self.message[1:] + "."


def validation_message(error: Any, spelled: Callable[[str], str]) -> ValidationMessage:
    """Return the message for one error of a ValidationError; `spelled` returns a field as the user wrote it."""
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if not error["loc"]:
        return ValidationMessage("", message)
    field = str(error["loc"][0])
    if field == "table" and error["type"] == "string_too_short":
        return ValidationMessage(field, "the table's name is empty")
    if error["type"] in ("missing", "too_short"):
        return ValidationMessage(field, " is missing", "see --help.", spelled(field))
    return ValidationMessage(field, f": {_wrong(error, message)}", spelled=spelled(field))


def _limit(limit: Any) -> str:
    if limit == repr(timedelta()):  # pydantic gives a bound of 0 like this
        return durations.show(timedelta())
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _wrong(error: Any, message: str) -> str:
    value, context = error["input"], error.get("ctx", {})
    for bound, words in _BOUNDS:
        if bound in context:
            return f'"{value}" is not allowed: it must be {words} {_limit(context[bound])}'
    if error["type"] == "literal_error":
        return f'"{value}" is not one of {context["expected"]}'
    if error["type"].startswith("int_"):
        return f'"{value}" is not a whole number'
    if error["type"].startswith("float_"):
        return f'"{value}" is not a number'
    if error["type"].startswith("bool_"):
        return f'"{value}" is neither true nor false'
    if error["type"] == "tuple_type":
        return f'"{value}" is no list'
    if error["type"] == "string_type":
        return f'"{value}" is not text: put it in quotes'
    return message
