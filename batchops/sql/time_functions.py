"""Where an expression asks for the present moment, and what in it would answer differently at each call."""

from collections.abc import Iterator
from dataclasses import dataclass

from batchops.db.sql_functions import Words
from batchops.errors import UsageError
from batchops.sql.tokens import Piece, Pieces

_SPANS = ("subsec", "subsecond")
_ORDERING = frozenset({"<", ">", "<=", ">=", "between"})


@dataclass(frozen=True)
class Occurrence:
    """A clock word and where it stands: `text[start:end]`."""

    start: int
    end: int
    spelling: str
    """As `Words.clock` lists it."""


def find_clock_words(pieces: Pieces, words: Words) -> tuple[Occurrence, ...]:
    """Every clock word, in order, sub-selects included; UsageError where one stands that cannot be frozen."""
    found = [*_spelled(pieces, words), *_as_arguments(pieces, words)]
    _refuse_moments(pieces, words)
    return tuple(sorted(found, key=lambda occurrence: occurrence.start))


def refuse_volatile(pieces: Pieces, words: Words, fresh: frozenset[str]) -> bool:
    """UsageError for the first function or word that would answer differently at each call, or does more.

    Those of `fresh` may stand; whether one does is returned.
    """
    drawn = False
    for index, piece in pieces.names():
        qualified = pieces.at(index - 1).written == "."
        if pieces.called(index):
            several = len(pieces.arguments(index))
            keys = [f"{piece.value}()", f"{piece.value}({several})"]
        elif qualified or pieces.at(index + 1).written == ".":
            continue
        else:
            keys = [piece.value, f"{piece.value} {pieces.at(index + 1).value}"]
        for key in keys:
            drawn = drawn or key in fresh
            if key in words.volatile and key not in fresh:
                shown = piece.written + ("()" if pieces.called(index) else "")
                raise UsageError(f"{shown} cannot be used here: {words.volatile[key]}", _way_out(words, key))
    return drawn


def _way_out(words: Words, key: str) -> str:
    if key in words.fresh:
        return "it may stand in --set alone, where each row gets a value once"
    if "--older-than" not in words.volatile[key]:
        return "compute the value first and write it as a literal"
    return "--older-than 90d --by COLUMN compares with a time that is fixed at the start"


def _spelled(pieces: Pieces, words: Words) -> Iterator[Occurrence]:
    for index, piece in pieces.names():
        start = _head(pieces, index, words)
        if start is None:
            continue
        if not pieces.called(index):
            if piece.value in words.clock and pieces.at(index + 1).written != ".":
                yield Occurrence(start, piece.end, piece.value)
            continue
        closing = pieces.closing[index + 1]
        inside = "".join(p.written for p in pieces.pieces[index + 2 : closing])
        if f"{piece.value}({inside})" in words.clock:
            yield Occurrence(start, pieces.at(closing).end, f"{piece.value}({inside})")


def _head(pieces: Pieces, index: int, words: Words) -> int | None:
    if pieces.at(index - 1).written != ".":
        return pieces.at(index).start
    schema = pieces.at(index - 2)
    return schema.start if words.catalog and schema.value == words.catalog else None


def _as_arguments(pieces: Pieces, words: Words) -> list[Occurrence]:
    found: list[Occurrence] = []
    reach: set[int] = set()
    for index, piece in pieces.names():
        if piece.value not in words.time_arguments or not pieces.called(index):
            continue
        arguments = pieces.arguments(index)
        reach.update(i for argument in arguments for i in argument)
        for number in words.time_arguments[piece.value]:
            found += _argument(pieces, arguments[number]) if number < len(arguments) else []
    starts = {occurrence.start for occurrence in found}
    for i in sorted(reach):
        if _is_now(pieces.at(i)) and pieces.at(i).start not in starts:
            raise UsageError(
                f"{pieces.at(i).written} cannot be frozen where it stands",
                "let it be the time function's own argument, or use --older-than or --before",
            )
    return found


def _argument(pieces: Pieces, argument: range) -> list[Occurrence]:
    piece = pieces.at(argument.start)
    if len(argument) != 1:
        return []
    # SQLite takes a name in double quotes that no column has for a string. Outside sub-selects that is an
    # unknown column, and refused as such.
    if piece.written.lower() == '"now"' and argument.start in pieces.inner:
        raise UsageError(f"{piece.written} may mean the present moment", "write it in single quotes: 'now'")
    if piece.kind == "string" and piece.value.lower() in _SPANS:
        raise UsageError(f"{piece.written} alone means the present moment", f"write 'now', {piece.written}")
    return [Occurrence(piece.start, piece.end, "'now'")] if _is_now(piece) else []


def _is_now(piece: Piece) -> bool:
    return piece.kind == "string" and piece.value.lower() == "now"


def _refuse_moments(pieces: Pieces, words: Words) -> None:
    for index, piece in enumerate(pieces.pieces):
        if piece.kind != "string" or words.moments.isdisjoint(piece.value.lower().split()):
            continue
        if _becomes_time(pieces, index, words) or _is_compared(pieces, index):
            raise UsageError(
                f"{piece.written} means another time whenever a batch runs",
                "use now() or current_date, which are fixed at the start, or --older-than or --before",
            )


def _becomes_time(pieces: Pieces, index: int, words: Words) -> bool:
    before, after = pieces.at(index - 1), pieces.at(index + 1)
    if before.value in words.time_types or before.value == "zone":
        return True
    if after.written == "::":
        return pieces.at(index + 2).value in words.time_types
    if before.written == ")" and pieces.at(index - 4).value in words.time_types:
        return True
    if before.written != "(":
        return False
    call = pieces.at(index - 2).value
    return call in words.time_types or (
        call == "cast" and after.value == "as" and pieces.at(index + 2).value in words.time_types
    )


def _is_compared(pieces: Pieces, index: int) -> bool:
    # PostgreSQL gives a bare string the type it is compared with; who orders by 'now' has a time in mind.
    before, after = pieces.at(index - 1), pieces.at(index + 1)
    return before.value in _ORDERING or after.value in _ORDERING
