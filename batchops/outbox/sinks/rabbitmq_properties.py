"""Makes the properties of an AMQP message from an event's texts. A text that does not fit is the event's fault."""

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pika

from batchops.outbox.sinks import Message

SHORT_STRING_BYTES = 255
"""The most bytes of a short string, such as a routing key, an id or a content type."""
_LONGEST_NAME = 128
"""The most bytes of the name of a header."""
_ALWAYS_FITS = 60_000
"""The most characters of headers that fit in a frame of any broker, so that their bytes need not be counted."""
_FRAME = 8 + 14
"""Bytes of a header frame beside the properties: the frame's own, class, weight and length of the body."""


def _short(text: str) -> str:
    if "\0" in text or len(text.encode()) > SHORT_STRING_BYTES:
        raise ValueError(f"is more than {SHORT_STRING_BYTES} bytes, or holds a NUL")
    return text


def _priority(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text) or int(text) > 255:
        raise ValueError("is not a number from 0 to 255")
    return int(text)


def _timestamp(text: str) -> int:
    """Return a time as seconds since 1970. A time without a zone is in UTC."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return int(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is neither a time nor seconds since 1970") from None
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:
        raise ValueError("lies before 1970")
    return seconds


def _milliseconds(text: str) -> str:
    if not re.fullmatch(r"\d{1,10}", text):
        raise ValueError("is not a number of milliseconds")
    return text


READ: Mapping[str, Callable[[str], Any]] = {
    "content_type": _short, "content_encoding": _short, "type": _short, "timestamp": _timestamp,
    "priority": _priority, "correlation_id": _short, "reply_to": _short, "app_id": _short, "expiration": _milliseconds,
}  # fmt: skip
"""Reads the text of each property, by the property's name in the AMQP standard."""


def properties_of(message: Message, frame: int) -> pika.BasicProperties:
    """Return the properties of a persistent message.

    Raise ValueError if a text does not fit its property, or all do not fit in a frame of that size.
    """
    values = {name: _read(name, text) for name, text in message.properties.items()}
    headers: dict[str, Any] = {**message.headers, "key": message.key}
    properties = pika.BasicProperties(message_id=message.id, delivery_mode=2, headers=headers, **values)
    if sum(map(len, headers)) + sum(map(len, headers.values())) > _ALWAYS_FITS:
        size = _FRAME + sum(map(len, properties.encode()))
        if frame and size > frame:
            raise ValueError(f"its headers make {size:,} bytes, and the broker takes a frame of {frame:,}")
    return properties


def unfit(message: Message) -> str:
    """Return why the message's id or the name of a header cannot be sent; "" if they can."""
    if "\0" in message.id or len(message.id.encode()) > SHORT_STRING_BYTES:
        return f"its id is more than {SHORT_STRING_BYTES} bytes, or holds a NUL"
    if any("\0" in name or len(name.encode()) > _LONGEST_NAME for name in message.headers):
        return f"the name of a header is more than {_LONGEST_NAME} bytes, or holds a NUL"
    return ""


UNFIT = (ValueError, struct.error, pika.exceptions.ShortStringTooLong, pika.exceptions.UnsupportedAMQPFieldException)
"""The errors that the client raises for a message that it cannot encode, before it sends any part of it."""


def _read(name: str, text: str) -> Any:
    try:
        return READ[name](text)
    except ValueError as error:
        raise ValueError(f'its property {name}, "{text[:60]}", {error}') from None
