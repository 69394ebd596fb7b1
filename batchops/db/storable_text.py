r"""Makes text from outside, such as a failure's reason, storable: characters that a column cannot hold become \x00."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

LONGEST_TEXT = 10_000
"""The most characters of a text from outside that are stored."""
MARK = "..."
"""The end of a text that was cut."""
BASIC = "basic"
"""The character set of Unicode's first plane alone, which MySQL calls utf8 or utf8mb3."""
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_SPELLED = "backslashreplace"


@dataclass(frozen=True)
class TextRoom:
    """What a text column can hold."""

    codecs: tuple[str, ...] = ()
    """Python's names of the character sets that a text is converted to on its way to the column, or BASIC."""
    characters: int | None = None
    octets: int | None = None
    """The most bytes of a text, in the last of the character sets."""


class Rooms(Protocol):
    """Tells what the columns of a database can hold."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """Return what a text column can hold; `schema` None means the schema in which batchops makes its tables."""


class ForeignText:
    """Makes texts from outside storable in one column; it asks once what the column can hold."""

    def __init__(self, rooms: Rooms, schema: str | None, table: str, column: str) -> None:
        self._rooms = rooms
        self._place = schema, table, column
        self._room: TextRoom | None = None

    def __call__(self, connection: sa.Connection, text: str) -> str:
        """Return the text in a form that the column can hold."""
        if self._room is None:
            self._room = self._rooms.text_room(connection, *self._place)
        return storable(text, self._room)


def storable(text: str, room: TextRoom) -> str:
    """Return the text in a form that fits the room: unchanged if possible.

    Characters that it cannot hold are written as escapes, and a text that is too long is cut at its end.
    """
    text = spelled(text)
    for codec in room.codecs:
        text = _with_escapes(text, codec)
    text = _cut(text, room.characters)
    if room.octets is None:
        return text
    codec = next((codec for codec in reversed(room.codecs) if codec != BASIC), "utf-8")
    kept = text.encode(codec)
    while len(kept) > room.octets:
        text = _cut(text, min(len(text) - 1, room.octets))
        kept = text.encode(codec)
    return text


def spelled(text: object) -> str:
    """Return any object's text as valid Unicode without NUL, and not too long."""
    return _cut(_with_escapes(_text_of(text)[: LONGEST_TEXT + 1].replace("\0", "\\x00"), "utf-8"), LONGEST_TEXT)


def reason_of(error: BaseException) -> str:
    """Return an error's text on one line; it is empty for some errors, and for some even `str` fails."""
    return " ".join(spelled(error).split())


def codec_of(name: str, known: Sequence[tuple[str, str]] = ()) -> str:
    """Return Python's codec for a server's character set, or ASCII, which all contain, if Python has none."""
    name = dict(known).get(name.lower(), name)
    try:
        return name if name == BASIC else codecs.lookup(name).name
    except LookupError:
        return "ascii"


def _text_of(text: object) -> str:
    try:
        return str(text)
    except Exception as error:  # noqa: BLE001  the __str__ of a class that is not ours
        return f"its text is not available ({type(error).__name__})"


def _with_escapes(text: str, codec: str) -> str:
    if codec == BASIC:
        return _BEYOND.sub(lambda found: found[0].encode("ascii", _SPELLED).decode("ascii"), text)
    return text.encode(codec, _SPELLED).decode(codec)


def _cut(text: str, most: int | None) -> str:
    if most is None or len(text) <= most:
        return text
    return text[: most - len(MARK)] + MARK if most > len(MARK) else text[: max(0, most)]
