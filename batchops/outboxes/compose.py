"""From an event's row to the message that a destination gets."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.outboxes.outbox import Outbox
from batchops.outboxes.templates import Made, NullError, Template, as_text
from batchops.sinks import Message, Refused

_BEFORE = 2
"""Columns of a row that stand before those of the templates: id, aggregate."""


class Event(NamedTuple):
    """One unsent event."""

    key: KeyValue
    """Its id."""
    aggregate: str
    message: Message | Refused
    """Refused: no message can be made of it."""


@dataclass(frozen=True)
class Form:
    """How messages are made."""

    topic: Template
    key: Template
    headers: Mapping[str, Template]
    body: Template | None
    """None: the payload as it is."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the texts are made from."""
        texts = [self.topic, self.key, *self.headers.values(), *([self.body] if self.body else [])]
        return tuple(dict.fromkeys(name for text in texts for name in text.columns))


class Composer:
    """Makes messages of rows that were read with `columns`."""

    def __init__(self, outbox: Outbox, form: Form) -> None:
        names = outbox.names
        extra = [names.headers, names.payload if form.body is None else None, outbox.message_id]
        read = list(dict.fromkeys([*form.columns, *(name for name in extra if name is not None)]))
        places = {name: i + _BEFORE for i, name in enumerate(read)}
        contents = (outbox.family.events.content(outbox.table, name) for name in read)
        self.columns: list[sa.ColumnElement[Any]] = [outbox.id_out, outbox.aggregate, *contents]
        self._key_value = outbox.family.key_value
        self._id = places[outbox.message_id]
        self._id_name = outbox.message_id
        self._topic = form.topic.bound(places)
        self._key = form.key.bound(places)
        self._headers = [(name, text.bound(places)) for name, text in form.headers.items()]
        self._own_headers = None if names.headers is None else places[names.headers]
        self._body: Made | int | None = form.body.bound(places) if form.body else None
        if self._body is None and names.payload is not None:
            self._body = places[names.payload]

    def __call__(self, rows: Iterable[Sequence[Any]]) -> list[Event]:
        """An event per row."""
        return [Event((self._key_value(row[0]),), row[1], self._message(row)) for row in rows]

    def _message(self, row: Sequence[Any]) -> Message | Refused:
        try:
            number = row[self._id]
            return Message(
                number if type(number) is str else as_text(number, self._id_name),
                self._topic(row),
                self._key(row),
                self._all_headers(row),
                self._content(row),
            )
        except NullError as error:
            return Refused(f"no message can be made of it: {error}", final=True)
        except ValueError as error:  # text that is no JSON, or cannot be written in UTF-8
            return Refused(f"no message can be made of it: {error}"[:400], final=True)

    def _all_headers(self, row: Sequence[Any]) -> dict[str, str]:
        try:
            headers = {name: made(row) for name, made in self._headers}
        except NullError:
            headers = dict(self._there(row))
        if self._own_headers is not None and (own := row[self._own_headers]) is not None:
            headers.update(_parsed(own))
        return headers

    def _there(self, row: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Those whose columns are not NULL."""
        for name, made in self._headers:
            with suppress(NullError):
                yield name, made(row)

    def _content(self, row: Sequence[Any]) -> bytes:
        body = self._body
        if body is None:
            return b""
        value = row[body] if isinstance(body, int) else body(row)
        if type(value) is str:
            return value.encode()
        if value is None:
            return b""
        return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else as_text(value, "").encode()


def _parsed(headers: Any) -> dict[str, str]:
    found = json.loads(headers if isinstance(headers, str | bytes) else bytes(headers))
    if not isinstance(found, dict):
        raise ValueError("its headers are no JSON object")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
        if value is not None
    }
