"""The user's SQL cut into pieces, and the slips that can be seen in the pieces alone.

Everything here holds whether or not the parser can follow the text later: one statement, no comment, balanced
parentheses.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError

from batchops.db.sql_functions import listed
from batchops.errors import UsageError

Kind = Literal["word", "name", "string", "number", "sign"]
"""A bare word, a quoted name, a string of any sort, a number, anything else."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STRINGS = frozenset(
    getattr(TokenType, name)
    for name in (
        *("STRING", "NATIONAL_STRING", "RAW_STRING", "HEREDOC_STRING", "UNICODE_STRING"),
        *("BYTE_STRING", "BIT_STRING", "HEX_STRING"),
    )
)
_INFIX_WORDS = listed(
    """and or not xor in is like ilike rlike regexp glob match similar between escape div mod when then else
    case where on by limit having select distinct any all some exists from using collate returning values
    union except intersect"""
)


@dataclass(frozen=True)
class Piece:
    """One token; `text[start:end]` is `written`."""

    kind: Kind
    start: int
    end: int
    written: str
    value: str
    """A bare word in lower case; what quotes enclose; else as written."""

    @property
    def operand(self) -> bool:
        """Whether a value may end here, so that what follows is an operator."""
        if self.kind == "word":
            return self.value not in _INFIX_WORDS
        return self.kind != "sign" or self.written in {")", "]", "}"}


@dataclass(frozen=True)
class Pieces:
    """A whole text in pieces, with its parentheses paired."""

    text: str
    pieces: tuple[Piece, ...]
    closing: Mapping[int, int]
    """Where the bracket that a piece opens is closed."""
    around: tuple[int | None, ...]
    """The opening bracket that a piece stands in."""
    inner: frozenset[int]
    """The pieces within a sub-select."""

    def at(self, index: int) -> Piece:
        """The piece there; an empty sign beyond either end."""
        return self.pieces[index] if 0 <= index < len(self.pieces) else Piece("sign", -1, -1, "", "")

    def touching(self, index: int) -> bool:
        """Whether no blank stands between a piece and the next one."""
        return self.at(index).end == self.at(index + 1).start

    def called(self, index: int) -> bool:
        """Whether the name there is followed by an opening parenthesis."""
        return self.at(index).kind in {"word", "name"} and self.at(index + 1).written == "("

    def arguments(self, index: int) -> list[range]:
        """The arguments of the call whose name stands at `index`, each as the pieces it consists of."""
        opening = index + 1
        closing = self.closing[opening]
        if closing == opening + 1:
            return []
        commas = [i for i in range(opening, closing) if self.around[i] == opening and self.at(i).written == ","]
        edges = [opening, *commas, closing]
        return [range(a + 1, b) for a, b in pairwise(edges)]

    def names(self) -> Iterator[tuple[int, Piece]]:
        """Bare words, and quoted names that are called."""
        for index, piece in enumerate(self.pieces):
            if piece.kind == "word" or (piece.kind == "name" and self.called(index)):
                yield index, piece


def cut(text: str, dialect: str) -> Pieces:
    """The text in pieces; UsageError for what no single expression can hold."""
    try:
        # The parenthesis keeps the tokenizer from taking a column called "call" or "show" for a command.
        tokens = Dialect.get_or_raise(dialect).tokenize("(" + text)
    except TokenError as error:
        raise UsageError("a quote or a comment is not closed") from error
    pieces = tuple(_piece(token, text) for token in tokens if token.start > 0)
    _refuse_comments(text, pieces)
    if any(piece.written == ";" for piece in pieces):
        raise UsageError("it holds a semicolon", "give one bare expression, without a semicolon")
    closing, around = _pair(pieces)
    return Pieces(text, pieces, closing, around, _within_selects(pieces, closing, around))


def _piece(token: Token, text: str) -> Piece:
    start, end = token.start - 1, token.end
    written = text[start:end]
    if token.token_type == TokenType.IDENTIFIER:
        return Piece("name", start, end, written, token.text)
    if token.token_type in _STRINGS:
        return Piece("string", start, end, written, token.text)
    if token.token_type == TokenType.NUMBER:
        return Piece("number", start, end, written, written)
    if written[:1].isalpha() or written[:1] == "_" or (token.token_type == TokenType.VAR and written[:1] != "$"):
        return Piece("word", start, end, written, " ".join(written.lower().split()))
    return Piece("sign", start, end, written, written)


def _refuse_comments(text: str, pieces: Iterable[Piece]) -> None:
    # Looked for between the pieces, as releases of sqlglot differ in where they attach a comment.
    done = 0
    for piece in (*pieces, Piece("sign", len(text), len(text), "", "")):
        between = text[done : piece.start].strip()
        if between or piece.written.startswith("/*"):
            raise UsageError(
                f"it holds a comment ({(between or piece.written)[:20]} …)",
                "leave comments out: what follows one could go unnoticed",
            )
        done = piece.end


def _pair(pieces: tuple[Piece, ...]) -> tuple[dict[int, int], tuple[int | None, ...]]:
    stack: list[int] = []
    closing: dict[int, int] = {}
    around: list[int | None] = []
    for index, piece in enumerate(pieces):
        if piece.kind == "sign" and piece.written in _CLOSING.values():
            if not stack or _CLOSING[pieces[stack[-1]].written] != piece.written:
                raise UsageError(f"its parentheses do not balance: {piece.written} closes nothing that is open")
            closing[stack.pop()] = index
        around.append(stack[-1] if stack else None)
        if piece.kind == "sign" and piece.written in _CLOSING:
            stack.append(index)
    if stack:
        raise UsageError(f"its parentheses do not balance: {pieces[stack[-1]].written} is never closed")
    return closing, tuple(around)


def _within_selects(
    pieces: tuple[Piece, ...], closing: Mapping[int, int], around: tuple[int | None, ...]
) -> frozenset[int]:
    inner: set[int] = set()
    for index, piece in enumerate(pieces):
        opening = around[index]
        heads = piece.value == "select" or (piece.value == "table" and opening == index - 1)
        if piece.kind == "word" and heads and opening is not None and opening + 1 not in inner:
            inner.update(range(opening + 1, closing[opening]))
    return frozenset(inner)
