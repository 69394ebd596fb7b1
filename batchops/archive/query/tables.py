"""The archived tables as a query names them: each is one view of all runs, with the columns of all."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from batchops.archive.contents import FoundSegment
from batchops.archive.query.types import MIXED, TEXT, common_type, quoted, type_of
from batchops.db.exact_columns import ExactColumn
from batchops.db.table import parts_of

_DEFAULT_SCHEMA = "main"
_CASE = "names in DuckDB must differ in more than their case"


@dataclass(frozen=True)
class QueriedTable:
    """An archived table of a query."""

    label: str
    schema: str
    name: str
    segments: tuple[FoundSegment, ...]
    columns: Mapping[str, tuple[str, str]]
    """The name and the type in the view of each archived column, by its own name."""
    notes: tuple[str, ...] = ()

    @property
    def quoted(self) -> str:
        """Return the name of the view."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def mixed(self) -> bool:
        """Whether the types of some columns are known only once their values are read."""
        return any(type == MIXED for _, type in self.columns.values())

    def named_in(self, sql: str) -> bool:
        """Whether the SQL may name the table: it is somewhere in the text, perhaps as something else."""
        word = re.escape(self.name.casefold())
        return re.search(rf"(?<!\w){word}(?!\w)", sql.casefold().replace('""', '"')) is not None


def tables_of(segments: Sequence[FoundSegment]) -> list[QueriedTable]:
    """Return the tables of the segments, in the order in which they were archived first."""
    by_label: dict[str, list[FoundSegment]] = {}
    for one in segments:
        by_label.setdefault(one.table.label, []).append(one)
    names, found = _Names(), list[QueriedTable]()
    for label, own in by_label.items():
        within, plain = parts_of(label, own[-1].table.family)
        schema = within or _DEFAULT_SCHEMA
        name = names.taken(schema, plain)
        columns, notes = _columns(label, own)
        notes = [f"{label} is {name} in this query: {_CASE}", *notes] if name != plain else notes
        found.append(QueriedTable(label, schema, name, tuple(own), columns, tuple(notes)))
    return found


def _columns(label: str, segments: Sequence[FoundSegment]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the columns of the view, those of the last run first, and notes on what differs from the table."""
    forms: dict[str, dict[ExactColumn, int]] = {}
    for one in reversed(segments):
        for column in one.table.columns:
            forms.setdefault(column.name, {}).setdefault(column, one.run)
    columns, notes, names = dict[str, tuple[str, str]](), list[str](), _Names()
    for own, seen in forms.items():
        type, name = common_type([*seen]), names.taken("", own)
        columns[own] = (name, type)
        if name != own:
            notes.append(f"{label}.{own} is {name} in this query: {_CASE}")
        if type == TEXT and any(type_of(column) != TEXT for column in seen):
            were = " and ".join(dict.fromkeys(f"{column.sql_type} in run {run}" for column, run in seen.items()))
            notes.append(f"{label}.{own} is text in this query: it was {were}")
    return columns, notes


class _Names:
    """Gives out names that differ in more than their case, as those of DuckDB must."""

    def __init__(self) -> None:
        self._given: set[tuple[str, str]] = set()

    def taken(self, within: str, name: str) -> str:
        """Return the name, with a number behind it if it is given already."""
        name = next(one for one in self._tries(name) if (within.casefold(), one.casefold()) not in self._given)
        self._given.add((within.casefold(), name.casefold()))
        return name

    def _tries(self, name: str) -> Iterator[str]:
        yield name
        number = 1
        while True:
            yield f"{name}_{number}"
            number += 1
