"""Finds how a column tells which events were sent, from the user's flags and from what the column can hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.column_contents import SAMPLE, Kind, sample
from batchops.db.table import Column, Table, quoted
from batchops.errors import RefusedError, UsageError
from batchops.outbox.sent_column import NULL, SentColumn, SentFormat

Written = Literal["time", "seconds", "milliseconds", "microseconds"]
_QUOTED = re.compile(r"'((?:[^']|'')*)'(::.*)?")
_MOMENT = re.compile(r"(_?at|_?on|time|date|epoch|millis|ts)$")
_SENSELESS = "it is unclear what it says of a sent event"


@dataclass(frozen=True)
class SentChoice:
    """What the flags say about the column that tells which events were sent."""

    unsent_values: Sequence[str] = ()
    sent_value: str | None = None
    sent_as: Written | None = None
    sent_time: str | None = None
    """Another column, which gets the time."""

    @property
    def some(self) -> bool:
        """Whether any of the flags was given."""
        return bool(self.unsent_values or self.sent_value or self.sent_as or self.sent_time)


def sent_column(
    connection: sa.Connection, backend: Backend, table: Table, key: str, column: Column, chosen: SentChoice,
    time: Column | None,
) -> SentColumn:  # fmt: skip
    """Return the column; raise BatchopsError if its meaning is unclear, or it cannot hold a value that was named."""
    kind = backend.contents.kind(connection, table, column)
    if time is not None:
        time = _time(connection, backend, table, time)
    if chosen.sent_value is not None:
        return _by_values(connection, backend, table, column, chosen, time)
    unsent = tuple(_null(value) for value in chosen.unsent_values)
    _check(connection, backend, table, column, "--unsent-value", unsent)
    sent_format = (
        _named_format(column, kind, chosen.sent_as)
        if chosen.sent_as
        else _format_shown(connection, backend, table, key, column, kind)
    )
    if sent_format is SentFormat.FLAG:
        if unsent:
            raise UsageError("--unsent-value needs --sent-value here: which value marks a sent event?")
        return SentColumn(backend, table, column, sent_format, ("0", None) if column.nullable else ("0",), time=time)
    if not unsent and not column.nullable:
        raise RefusedError(
            f'Column "{column.name}" of table "{table.label}" is never NULL, so every event would count as sent.',
            "say which value means unsent: --unsent-value VALUE.",
        )
    return SentColumn(backend, table, column, sent_format, unsent or (None,), time=time)


def warnings_of_sent(connection: sa.Connection, sent: SentColumn, key: str) -> Iterator[str]:
    """Yield warnings about events that a relay would silently leave unsent."""
    column = sent.column
    default = _constant(column.default)
    if default is not None and sent.sent_format is not SentFormat.FLAG and default not in sent.unsent_values:
        yield (
            f'A row that is written without "{column.name}" gets {column.default}, which does not mean unsent: '
            "it is not sent."
        )
    if sent.sent_format is not SentFormat.VALUE:
        return
    own = sent.table.called.c[quoted(column.name)]
    known = [sent.unsent, sent.sent]
    last = sa.select(sent.backend.events.text(sent.table, column.name).label("value"), sa.or_(*known).label("known"))
    order = sent.table.called.c[quoted(key)].desc()
    looked = last.select_from(sent.table.called).where(own.is_not(None)).order_by(order).limit(SAMPLE).subquery("last")
    others = sa.select(looked.c.value).where(sa.not_(looked.c.known)).distinct().limit(5)
    if values := sorted(str(value) for value in connection.execute(others).scalars()):
        yield (
            f'"{column.name}" also holds {", ".join(values)}: neither unsent nor sent, so batchops ignores those '
            "events."
        )


def _by_values(
    connection: sa.Connection, backend: Backend, table: Table, column: Column, chosen: SentChoice, time: Column | None
) -> SentColumn:  # fmt: skip
    if chosen.sent_as is not None:
        raise UsageError("--sent-value and --sent-as exclude each other: one value, or the time.")
    if not chosen.unsent_values:
        raise UsageError("--sent-value needs --unsent-value: which value means that an event is still to be sent?")
    unsent, sent = tuple(_null(value) for value in chosen.unsent_values), _null(chosen.sent_value)
    if sent in unsent:
        raise UsageError(f'"{chosen.sent_value}" cannot mean both unsent and sent.')
    _check(connection, backend, table, column, "--unsent-value", unsent)
    _check(connection, backend, table, column, "--sent-value", (sent,))
    return SentColumn(backend, table, column, SentFormat.VALUE, unsent, sent, time)


def _named_format(column: Column, kind: Kind, written: Written) -> SentFormat:
    fits = (Kind.TIME, Kind.WORDS) if written == "time" else (Kind.SMALL, Kind.NUMBER, Kind.LARGE, Kind.TIME)
    if kind not in fits:
        raise UsageError(f'--sent-as {written}: column "{column.name}" is {column.type}.')
    return SentFormat(written)


def _format_shown(
    connection: sa.Connection, backend: Backend, table: Table, key: str, column: Column, kind: Kind
) -> SentFormat:  # fmt: skip
    """Return the format that the column's type and values show; raise RefusedError if they show none."""
    match kind:
        case Kind.TIME:
            return SentFormat.TIME
        case Kind.FLAG:
            return SentFormat.FLAG
        case Kind.SMALL | Kind.NUMBER | Kind.LARGE if _is_flag(connection, backend, table, key, column, kind):
            return SentFormat.FLAG
    hint = "name the two values: --unsent-value NEW --sent-value SENT"
    if kind in (Kind.NUMBER, Kind.LARGE):
        hint = f"for a time since 1970 give --sent-as seconds, milliseconds or microseconds; else {hint}"
    elif kind is Kind.WORDS:
        hint = f"{hint}; for a time as text, --sent-as time"
    raise RefusedError(
        f'Column "{column.name}" of table "{table.label}" is {column.type or "of no type"}: {_SENSELESS}.', f"{hint}."
    )


def _is_flag(
    connection: sa.Connection, backend: Backend, table: Table, key: str, column: Column, kind: Kind
) -> bool:  # fmt: skip
    """Whether a column of numbers holds only 0 and 1, by its check constraint, or by its values and default."""
    if all(backend.contents.refusal(connection, table, column, value) for value in ("2", "1700000000")):
        return True
    values = {value for value in sample(connection, table, column.name, key) if value is not None}
    if not values <= {0, 1}:
        return False
    if kind is Kind.SMALL or 1 in values:
        return True
    begins = _constant(column.default) in ("0", "1") and kind is Kind.NUMBER
    return begins and not _MOMENT.search(column.name.lower())


def _time(connection: sa.Connection, backend: Backend, table: Table, column: Column) -> Column:
    if backend.contents.kind(connection, table, column) is not Kind.TIME:
        raise UsageError(f'--sent-time: column "{column.name}" of table "{table.label}" is {column.type}, not a time.')
    return column


def _check(
    connection: sa.Connection, backend: Backend, table: Table, column: Column, flag: str, values: Sequence[str | None]
) -> None:  # fmt: skip
    for value in values:
        if refusal := backend.contents.refusal(connection, table, column, value):
            shown = NULL if value is None else value
            raise RefusedError(f'{flag} {shown}: column "{column.name}" of "{table.label}" cannot hold it: {refusal}.')


def _null(value: str | None) -> str | None:
    return None if value is None or value.upper() == NULL else value


def _constant(default: str | None) -> str | None:
    """Return a default that is a constant as text, any other unchanged."""
    if default is None:
        return None
    text = _QUOTED.fullmatch(default)
    return text[1].replace("''", "'") if text else default.strip("()")


def choice_of(values: Mapping[str, Any]) -> SentChoice:
    """Return the choice from the values of a spec or a command, by the names of the flags."""
    return SentChoice(
        tuple(values.get("unsent_value") or ()),
        values.get("sent_value"),
        values.get("sent_as"),
        values.get("sent_time"),
    )
