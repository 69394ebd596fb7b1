"""Builds messages from the rows of events."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

from batchops.db import value_formats
from batchops.db.byte_limit import ByteLimit
from batchops.db.types import KeyValue
from batchops.db.value_formats import JsonText, as_bytes, as_json
from batchops.outbox.outbox import Outbox
from batchops.outbox.sinks import Message, Refused
from batchops.outbox.templates import Made, NullError, Template, as_text

KEPT = 1_000
"""The most topics and headers kept for reuse: many events share them, as most depend on the event's type only."""
_INEXACT = frozenset({float, Decimal, datetime})
"""Types with equal values that are different texts: 0.0 and -0.0, 1.0 and 1.00, an hour that the clock has twice."""
_BEFORE = 2
"""The number of columns before those of the templates: id and aggregate."""


@dataclass(frozen=True)
class EventBatch:
    """Events in their order, stored by column: an object for each event would take as long as the work on it."""

    ids: Sequence[Any]
    aggregates: Sequence[str]
    messages: Sequence[Message | Refused]
    """The message of each event; Refused if none can be built from the event."""
    places: Sequence[KeyValue] | None = None
    """The place of each event in the order; None: the id is the place."""

    front: KeyValue | None = None
    """The place up to which all events have been read. Those after it have not been read."""

    @property
    def last(self) -> KeyValue:
        """Return the place of the last event."""
        return (self.ids[-1],) if self.places is None else self.places[-1]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unfit(self) -> frozenset[str]:
        """Return the aggregates with an event that no message can be built from."""
        if Refused not in set(map(type, self.messages)):
            return frozenset()
        return frozenset(a for a, one in zip(self.aggregates, self.messages, strict=True) if isinstance(one, Refused))

    def but(self, aggregates: Set[str]) -> "EventBatch":
        """Return the events of other aggregates."""
        if not aggregates:
            return self
        return self.at([n for n, aggregate in enumerate(self.aggregates) if aggregate not in aggregates])

    def at(self, places: Sequence[int]) -> "EventBatch":
        """Return the events at these places of the batch."""
        ids, aggregates, messages = self.ids, self.aggregates, self.messages
        own = None if self.places is None else [self.places[n] for n in places]
        return EventBatch(
            [ids[n] for n in places], [aggregates[n] for n in places], [messages[n] for n in places], own, self.front
        )


NOTHING = EventBatch((), (), ())


@dataclass(frozen=True)
class MessageMapping:
    """The templates that messages are made from."""

    topic: Template
    key: Template
    headers: Mapping[str, Template]
    body: Template | None
    """The template of the body; None: the payload unchanged."""
    properties: Mapping[str, Template]
    own_key: Template | None
    """The key of an event whose key is NULL, which has an order of its own; None: such an event is refused."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that the templates use."""
        more = [text for text in (self.body, self.own_key) if text is not None]
        return _columns(self.topic, self.key, *self.headers.values(), *self.properties.values(), *more)


class MessageMapper:
    """Makes messages from rows that were read with `columns`."""

    def __init__(self, outbox: Outbox, mapping: MessageMapping) -> None:
        names = outbox.names
        shared = _columns(mapping.topic, *mapping.headers.values())
        extra = [names.headers, names.payload if mapping.body is None else None, outbox.message_id]
        wanted = dict.fromkeys([*shared, *mapping.columns, *(n for n in extra if n not in (None, names.id))])
        # An id that is a number is the same text in every form, so that it need not be read twice.
        once = names.id not in shared and outbox.backend.events.is_number(outbox.table.column(names.id))
        read = [name for name in wanted if not (once and name == names.id)]
        places = {names.id: 0} | {name: i + _BEFORE for i, name in enumerate(read)}
        self._row_bytes = outbox.backend.claims.row_bytes(outbox.table, read)
        contents = (outbox.backend.events.content(outbox.table, name) for name in read)
        self.columns: list[sa.ColumnElement[Any]] = [outbox.id_out, outbox.aggregate, *contents]
        self._place = slice(len(self.columns), None) if len(outbox.order.columns) > 1 else None
        if self._place is not None:
            self.columns += outbox.place_out
        self._id = places[outbox.message_id]
        self._id_name = outbox.message_id
        self._own_key = mapping.key.bound(places)
        self._key_at = None if mapping.key.column is None else places[mapping.key.column]
        self._id_key = mapping.own_key.bound(places) if mapping.own_key else None
        self._properties = [(name, text.bound(places)) for name, text in mapping.properties.items()]
        self._shared = slice(_BEFORE, _BEFORE + len(shared))
        inside = {name: i for i, name in enumerate(shared)}
        self._topic = mapping.topic.bound(inside)
        self._headers = [(name, text.bound(inside)) for name, text in mapping.headers.items()]
        self._kept = lru_cache(KEPT, typed=True)(self._topic_and_headers)
        self._own_headers = None if names.headers is None else places[names.headers]
        self._body: Made | int | None = mapping.body.bound(places) if mapping.body else None
        if self._body is None and names.payload is not None:
            self._body = places[names.payload]

    def limit(self, most: int) -> ByteLimit:
        """Return the limit that keeps the rows in memory below that many bytes."""
        return ByteLimit(most, self._row_bytes)

    def __call__(self, rows: Sequence[Sequence[Any]]) -> EventBatch:
        """Return an event for each row."""
        place = self._place
        return EventBatch(
            [row[0] for row in rows],
            [row[1] for row in rows],
            self._messages_of_columns(rows) or [self._message(row) for row in rows],
            None if place is None else [tuple(row[place]) for row in rows],
        )

    def _messages_of_columns(self, rows: Sequence[Sequence[Any]]) -> list[Message | Refused] | None:
        """Make the messages column by column, in a third of the time; return None if a row needs more care."""
        columns = list(zip(*rows, strict=True))
        if not rows or self._properties or (self._own_headers is not None and any(columns[self._own_headers])):
            return None
        try:
            bodies = self._bodies(rows, columns)
            keys = list(map(self._own_key, rows)) if self._key_at is None else _texts(columns[self._key_at])
            ids, shared = _texts(columns[self._id]), columns[self._shared] or ((),)
            make = self._making(set(map(type, chain.from_iterable(shared))))
            described = list(map(make, *shared)) if shared[0] else [make()] * len(rows)
        except (NullError, TypeError, ValueError, RecursionError):
            return None
        topics, headers = zip(*described, strict=True)
        return list(map(Message, ids, topics, keys, headers, bodies))

    def _bodies(self, rows: Sequence[Sequence[Any]], columns: Sequence[Sequence[Any]]) -> Sequence[bytes]:
        """Return the bodies; raise ValueError for NULL, and for a value that has no text."""
        if not isinstance(self._body, int):
            return [b""] * len(rows) if self._body is None else list(map(as_bytes, map(self._body, rows)))
        column = columns[self._body]
        kinds = set(map(type, column))
        if type(None) in kinds:
            raise ValueError("a body is NULL")
        return list(map(str.encode if kinds == {str} else as_bytes, column))

    def _message(self, row: Sequence[Any]) -> Message | Refused:
        try:
            shared = row[self._shared]
            try:
                topic, headers = self._making(set(map(type, shared)))(*shared)
            except TypeError:  # a column of lists, which cannot be a key of the cache
                topic, headers = self._topic_and_headers(*shared)
            if self._own_headers is not None and (own := row[self._own_headers]):
                headers = {**headers, **_parsed(own)}
            id_, content = as_text(row[self._id], self._id_name), self._content(row)
            if content is None or self._properties:
                properties = _filled(self._properties, row)
                return Message(id_, topic, self._key(row), headers, content or b"", content is None, properties)
            return Message(id_, topic, self._key(row), headers, content)
        except NullError as error:
            return Refused(f"no message can be built from it: {error}", final=True)
        except (ValueError, RecursionError) as error:  # text that is not JSON, or cannot be written in UTF-8
            return Refused(f"no message can be built from it: {error}"[:400], final=True)

    def _making(self, types: Set[type]) -> Callable[..., tuple[str, Mapping[str, str]]]:
        """Return what makes topic and headers of values of these types, with those kept for reuse if that is exact."""
        return self._topic_and_headers if types & _INEXACT else self._kept

    def _topic_and_headers(self, *values: Any) -> tuple[str, Mapping[str, str]]:
        """Return the topic, and the headers without those whose column is NULL."""
        return self._topic(values), _filled(self._headers, values)

    def _key(self, row: Sequence[Any]) -> str:
        try:
            return self._own_key(row)
        except NullError:
            if self._id_key is None:
                raise
            return self._id_key(row)

    def _content(self, row: Sequence[Any]) -> bytes | None:
        """Return the body; None for a payload that is NULL."""
        body = self._body
        if body is None:
            return b""
        value = row[body] if isinstance(body, int) else body(row)
        return None if value is None else as_bytes(value)


def _texts(column: Sequence[Any]) -> Sequence[str]:
    """Return the values as texts; raise ValueError if one is NULL."""
    kinds = set(map(type, column))
    if type(None) in kinds:
        raise ValueError("a value is NULL")
    if kinds == {str} and "".join(column).isascii():
        return column
    return list(map(str if kinds == {int} else value_formats.as_text, column))


def _filled(texts: Sequence[tuple[str, Made]], values: Sequence[Any]) -> Mapping[str, str]:
    """Return the texts by name, without those whose column is NULL."""
    filled = {}
    for name, made in texts:
        with suppress(NullError):
            filled[name] = made(values)
    return filled


def _columns(*texts: Template) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for text in texts for name in text.columns))


def _parsed(written: Any) -> dict[str, str]:
    # Numbers keep their text.
    found = json.loads(
        written if isinstance(written, str | bytes) else bytes(written), parse_float=JsonText, parse_int=JsonText,
        parse_constant=_no_number,
    )  # fmt: skip
    if not isinstance(found, dict):
        raise ValueError("its headers are not a JSON object")
    headers = {
        str(name): str(value) if isinstance(value, str) else as_json(value)
        for name, value in found.items()
        if value is not None
    }
    "".join([*headers, *headers.values()]).encode()  # JSON can spell half a surrogate pair, which no client can write
    return headers


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
