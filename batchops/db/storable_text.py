r"""Text from outside, such as the reason of a failure, made storable: what cannot be kept is spelled out, as \x00."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

LONGEST_TEXT = 10_000
"""Characters of a text from outside that are kept."""
MARK = "..."
"""How a text ends that was cut."""
BASIC = "basic"
"""Characters of the first plane alone: what MySQL calls utf8 or utf8mb3."""
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_SPELLED = "backslashreplace"


@dataclass(frozen=True)
class TextRoom:
    """What a text column can hold."""

    codecs: tuple[str, ...] = ()
    """Python's names of the character sets that a text passes on its way; BASIC is one more."""
    characters: int | None = None
    octets: int | None = None
    """In the last of the character sets."""


class Rooms(Protocol):
    """What knows the columns of a database."""

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """What a text column can hold; `schema` None: of a table that batchops has made where new tables go."""


class ForeignText:
    """Makes texts from outside storable in one column; what it holds is asked once."""

    def __init__(self, rooms: Rooms, schema: str | None, table: str, column: str) -> None:
        self._rooms = rooms
        self._place = schema, table, column
        self._room: TextRoom | None = None

    def __call__(self, connection: sa.Connection, text: str) -> str:
        """The text as the column can hold it."""
        if self._room is None:
            self._room = self._rooms.text_room(connection, *self._place)
        return storable(text, self._room)


def storable(text: str, room: TextRoom) -> str:
    """The text as there is room for it: the same, if it can be; what cannot be kept is spelled out, the end cut."""
    text = spelled(text)
    for codec in room.codecs:
        text = _in(text, codec)
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
    """Any text as one that is valid Unicode without NUL, and not too long."""
    return _cut(_in(_text_of(text)[: LONGEST_TEXT + 1].replace("\0", "\\x00"), "utf-8"), LONGEST_TEXT)


def reason_of(error: BaseException) -> str:
    """What an error says, on one line; some say nothing, and some cannot even be asked."""
    return " ".join(spelled(error).split())


def codec_of(name: str, known: Sequence[tuple[str, str]] = ()) -> str:
    """Python's codec for a server's character set; one that it does not know is taken for ASCII, which all contain."""
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


def _in(text: str, codec: str) -> str:
    if codec == BASIC:
        return _BEYOND.sub(lambda found: found[0].encode("ascii", _SPELLED).decode("ascii"), text)
    return text.encode(codec, _SPELLED).decode(codec)


def _cut(text: str, most: int | None) -> str:
    if most is None or len(text) <= most:
        return text
    return text[: most - len(MARK)] + MARK if most > len(MARK) else text[: max(0, most)]
