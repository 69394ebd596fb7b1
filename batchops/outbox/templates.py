"""Templates of texts that are made from an event's columns, such as `app.{aggregate_type}`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from batchops.db import value_formats
from batchops.errors import UsageError

Values = Sequence[Any]
Made = Callable[[Values], str]


class NullError(Exception):
    """A column that a text needs is NULL."""


@dataclass(frozen=True)
class Template:
    """A text with the names of columns in braces. `{{` and `}}` stand for braces."""

    text: str
    parts: tuple[tuple[str, str | None], ...]
    """Pieces of literal text, each with the column whose value follows it."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for _, column in self.parts if column is not None)

    @property
    def column(self) -> str | None:
        """Return the column if the template is just that column; else None."""
        return self.parts[0][1] if len(self.parts) == 1 and not self.parts[0][0] else None

    def bound(self, places: Mapping[str, int]) -> Made:
        """Return a function that makes the text from a row. `places` are the columns' indexes in a row."""
        if not self.columns:
            constant = "".join(literal for literal, _ in self.parts)
            return lambda _: constant
        steps = [(literal, None if column is None else places[column], column or "") for literal, column in self.parts]
        if len(steps) == 1 and not steps[0][0]:
            (_, place, name) = steps[0]
            assert place is not None
            return lambda row: as_text(row[place], name)
        return lambda row: "".join(
            literal if place is None else literal + as_text(row[place], name) for literal, place, name in steps
        )


def parse_template(text: str, flag: str) -> Template:
    """Return the template; raise UsageError if the text is not one."""
    parts = []
    try:
        for literal, column, spec, conversion in Formatter().parse(text):
            if spec or conversion or (column is not None and not column.strip()):
                raise ValueError("only {column} may stand in braces")
            parts.append((literal, column))
    except ValueError as error:
        raise UsageError(
            f'{flag}: "{text}" is not a template: {str(error).lower()}.',
            "write a column's name in braces, as in app.{aggregate_type}; a brace itself is doubled.",
        ) from None
    return Template(text, tuple(parts))


def as_text(value: Any, name: str) -> str:
    """Return a column's value as text; raise NullError for NULL."""
    if value is None:
        raise NullError(f'column "{name}" is NULL')
    return value_formats.as_text(value)
