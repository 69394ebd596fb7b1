"""Matches archived columns to those of the table to restore to, and converts their values."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batchops.archive.records import ArchivedTable
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import InexactValue, fields_of, line_of
from batchops.db.row_loading import RowLoading
from batchops.db.table import Table
from batchops.runtime.refusal import Refusal

Convert = Callable[[bytes], bytes]

_WHOLE = frozenset(kind for kind in ExactKind if kind.startswith(("int", "uint")))
_NUMBERS = _WHOLE | {ExactKind.DECIMAL, ExactKind.FLOAT, ExactKind.DOUBLE, ExactKind.BOOLEAN}
_MOMENTS = frozenset((ExactKind.DATE, ExactKind.TIMESTAMP, ExactKind.INSTANT))
_GROUPS = (_NUMBERS, _MOMENTS, frozenset((ExactKind.UUID,)), frozenset((ExactKind.BYTES,)))
_WHOLE_NUMBER = re.compile(rb"-?\d+")
_PLAIN_NUMBER = re.compile(rb"(-?)0*(\d+)(?:\.(\d*?)0*)?")
_MIDNIGHT = b" 00:00:00"


@dataclass(frozen=True)
class ColumnMatch:
    """An archived column and the column of the table that gets its values."""

    place: int
    """The place of the column's field in an archived line."""
    archived: ExactColumn
    target: ExactColumn
    taken: ExactColumn
    """The column in the form in which its texts are loaded."""
    same: bool
    """Whether both have the same type of the same family, so that a value is read by the type that wrote it."""


class Rejection(NamedTuple):
    """An archived line that the table cannot hold, and the reason."""

    line: bytes
    reason: str


@dataclass(frozen=True)
class Matched:
    """All columns of an archived table, matched to one target."""

    table: ArchivedTable
    columns: tuple[ColumnMatch, ...]
    dropped: tuple[str, ...]
    """Archived columns that the target does not have."""
    defaulted: tuple[str, ...]
    """Columns of the target that were not archived."""

    @property
    def targets(self) -> list[ExactColumn]:
        """Return the columns to load, in the form in which their lines are spelled."""
        return [one.taken for one in self.columns]

    @property
    def as_it_was(self) -> bool:
        """Whether every value is read by the type that wrote it, so that no row needs to be read back."""
        return all(one.same for one in self.columns)

    def key_of(self, line: bytes) -> str:
        """Return the key of an archived line's row as text for people; without a key, the first column."""
        fields, names = fields_of(line), [column.name for column in self.table.columns]
        shown = self.table.key or names[:1]
        values = [fields[names.index(name)] for name in shown]
        return key_text(shown, values)

    def lines(self, lines: Sequence[bytes]) -> tuple[list[tuple[bytes, bytes]], list[Rejection]]:
        """Return each archived line with the line to load, and the lines that cannot be converted."""
        if self.as_it_was and len(self.columns) == len(self.table.columns):
            return [(line, line) for line in lines], []
        ways = [(one.place, _convert(one.archived, one.taken)) for one in self.columns]
        done, rejected = [], []
        for line in lines:
            fields = fields_of(line)
            try:
                values = [None if (value := fields[place]) is None else convert(value) for place, convert in ways]
            except InexactValue as error:
                rejected.append(Rejection(line, str(error)))
                continue
            done.append((line, line_of(values)))
        return done, rejected

    def comparable(self, line: bytes) -> tuple[bytes | None, ...]:
        """Return the values of a loaded line, or of one read back, in a spelling that both types share."""
        pairs = zip(fields_of(line), self.columns, strict=True)
        return tuple(None if value is None else _comparable(one)(value) for value, one in pairs)


def key_text(names: Sequence[str], values: Sequence[bytes | None]) -> str:
    """Return the values of a key with the names of their columns as text for people."""
    texts = ["NULL" if value is None else value.decode("utf-8", "backslashreplace") for value in values]
    return ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))


def match(
    archived: ArchivedTable, table: Table, columns: Sequence[ExactColumn], loading: RowLoading
) -> tuple[Matched, list[Refusal]]:
    """Match the columns by name; return them, and the refusals for columns that cannot be matched."""
    by_name = {column.name: column for column in columns}
    matched = [
        _matched(place, column, by_name[column.name], archived.family, loading)
        for place, column in enumerate(archived.columns)
        if column.name in by_name and not by_name[column.name].generated
    ]
    dropped = tuple(one.name for one in archived.columns if one.name not in by_name and not one.generated)
    names = {column.name for column in archived.columns}
    defaulted = tuple(one.name for one in columns if one.name not in names and not one.generated)
    found = Matched(archived, tuple(matched), dropped, defaulted)
    return found, [*_refusals(found, table, by_name)]


def _matched(
    place: int, archived: ExactColumn, target: ExactColumn, family: str, loading: RowLoading
) -> ColumnMatch:  # fmt: skip
    same = family == loading.family and archived.sql_type == target.sql_type
    return ColumnMatch(place, archived, target, loading.taken_as(archived, target), same)


def _refusals(found: Matched, table: Table, by_name: dict[str, ExactColumn]) -> Iterator[Refusal]:
    for one in found.columns:
        if not one.same and not _may_become(one.archived.kind, one.taken.kind):
            what = f"{one.archived.name}: {one.archived.sql_type} cannot become {one.target.sql_type or 'this type'}"
            hint = "restore into another table (--into), and convert the values there."
            yield Refusal("types", f'{what} of "{table.label}" without a change of its values.', hint)
    for name in found.defaulted:
        column, target = table.column(name), by_name[name]
        if not (target.nullable or target.identity or column.default is not None):
            message = f'Column "{name}" of "{table.label}" was not archived, takes no NULL and has no default.'
            yield Refusal("columns", message, "give it a default, or restore into another table (--into).")


def _may_become(archived: ExactKind, taken: ExactKind) -> bool:
    """Whether some values of the archived kind may be loaded as the other. Each is read back and compared."""
    if archived is taken:
        return True
    if ExactKind.TAGGED in (archived, taken):
        return False
    if taken is ExactKind.TEXT:
        return archived is not ExactKind.BYTES
    if archived is ExactKind.TEXT:
        return taken is not ExactKind.BYTES
    return any({archived, taken} <= group for group in _GROUPS)


def _convert(archived: ExactColumn, taken: ExactColumn) -> Convert:
    if archived.kind is taken.kind:
        return bytes
    if archived.kind is ExactKind.BOOLEAN and taken.kind in _NUMBERS:
        return lambda value: b"1" if value == b"t" else b"0"
    if taken.kind is ExactKind.BOOLEAN:
        return _truth
    if archived.kind is ExactKind.INSTANT and taken.kind in (ExactKind.TIMESTAMP, ExactKind.DATE):
        return lambda value: value.removesuffix(b"+00")
    if taken.kind in _WHOLE and archived.kind not in _WHOLE:
        return _whole
    return bytes


def _truth(value: bytes) -> bytes:
    known = {b"1": b"t", b"0": b"f", b"t": b"t", b"f": b"f", b"true": b"t", b"false": b"f"}.get(value)
    if known is None:
        raise InexactValue(f"{value[:60].decode('utf-8', 'backslashreplace')} is no truth value")
    return known


def _whole(value: bytes) -> bytes:
    plain = _number(value)
    if _WHOLE_NUMBER.fullmatch(plain) is None:
        raise InexactValue(f"{value[:60].decode('utf-8', 'backslashreplace')} is no whole number")
    return plain


def _number(value: bytes) -> bytes:
    """Return a number without redundant zeros."""
    found = _PLAIN_NUMBER.fullmatch(value)
    if found is None:
        return value
    sign, whole, fraction = found.groups()
    plain = whole + (b"." + fraction if fraction else b"")
    return plain if plain.strip(b"0.") == b"" else sign + plain


def _moment(value: bytes) -> bytes:
    """Return a time without zeros at the end, without midnight, and without the offset of UTC."""
    plain = value.removesuffix(b"+00")
    if b"." in plain:
        plain = plain.rstrip(b"0").removesuffix(b".")
    return plain.removesuffix(_MIDNIGHT)


def _comparable(one: ColumnMatch) -> Convert:
    kinds = {one.archived.kind, one.taken.kind}
    if kinds & _MOMENTS:
        return _moment
    return _number if kinds & (_NUMBERS - {ExactKind.BOOLEAN}) else bytes
