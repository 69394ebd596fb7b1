"""The user's SQL as tokens, and the mistakes that can be found in the tokens alone.

These checks work whether or not the parser can follow the text later: one statement, no comment, balanced parentheses.
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
"""A bare word, a quoted name, any kind of string, a number; "sign" is anything else."""

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
class SqlToken:
    """One token; `text[start:end]` is `written`."""

    kind: Kind
    start: int
    end: int
    written: str
    value: str
    """A bare word in lower case; the text inside the quotes of a name or string; any other text as written."""

    @property
    def operand(self) -> bool:
        """Whether a value may end here, so that what follows is an operator."""
        if self.kind == "word":
            return self.value not in _INFIX_WORDS
        return self.kind != "sign" or self.written in {")", "]", "}"}


@dataclass(frozen=True)
class SqlTokens:
    """A whole text as tokens, with its brackets paired."""

    text: str
    tokens: tuple[SqlToken, ...]
    closing: Mapping[int, int]
    """For each opening bracket, the index of the token that closes it."""
    around: tuple[int | None, ...]
    """For each token, the index of the opening bracket around it."""
    inner: frozenset[int]
    """The indexes of the tokens within sub-selects."""

    def at(self, index: int) -> SqlToken:
        """Return the token at that index; an empty sign before the first and after the last."""
        return self.tokens[index] if 0 <= index < len(self.tokens) else SqlToken("sign", -1, -1, "", "")

    def touching(self, index: int) -> bool:
        """Whether there is no blank between the token and the next one."""
        return self.at(index).end == self.at(index + 1).start

    def called(self, index: int) -> bool:
        """Whether the token is a name that is followed by an opening parenthesis."""
        return self.at(index).kind in {"word", "name"} and self.at(index + 1).written == "("

    def arguments(self, index: int) -> list[range]:
        """Return the arguments of the call whose name is at `index`, each as the range of its tokens."""
        opening = index + 1
        closing = self.closing[opening]
        if closing == opening + 1:
            return []
        commas = [i for i in range(opening, closing) if self.around[i] == opening and self.at(i).written == ","]
        edges = [opening, *commas, closing]
        return [range(a + 1, b) for a, b in pairwise(edges)]

    def names(self) -> Iterator[tuple[int, SqlToken]]:
        """Yield index and token of each bare word, and of each quoted name that is called."""
        for index, token in enumerate(self.tokens):
            if token.kind == "word" or (token.kind == "name" and self.called(index)):
                yield index, token


def tokenize(text: str, dialect: str) -> SqlTokens:
    """Return the text as tokens; UsageError for anything that a single expression cannot have."""
    try:
        # The parenthesis keeps the tokenizer from taking a column called "call" or "show" for a command.
        parsed = Dialect.get_or_raise(dialect).tokenize("(" + text)
    except TokenError as error:
        raise UsageError("a quote or a comment is not closed") from error
    tokens = tuple(_sql_token(one, text) for one in parsed if one.start > 0)
    _refuse_comments(text, tokens)
    if any(token.written == ";" for token in tokens):
        raise UsageError("it holds a semicolon", "give one bare expression, without a semicolon")
    closing, around = _pair(tokens)
    return SqlTokens(text, tokens, closing, around, _within_selects(tokens, closing, around))


def _sql_token(parsed: Token, text: str) -> SqlToken:
    start, end = parsed.start - 1, parsed.end
    written = text[start:end]
    if parsed.token_type == TokenType.IDENTIFIER:
        return SqlToken("name", start, end, written, parsed.text)
    if parsed.token_type in _STRINGS:
        return SqlToken("string", start, end, written, parsed.text)
    if parsed.token_type == TokenType.NUMBER:
        return SqlToken("number", start, end, written, written)
    if written[:1].isalpha() or written[:1] == "_" or (parsed.token_type == TokenType.VAR and written[:1] != "$"):
        return SqlToken("word", start, end, written, " ".join(written.lower().split()))
    return SqlToken("sign", start, end, written, written)


def _refuse_comments(text: str, tokens: Iterable[SqlToken]) -> None:
    # Comments are found in the text between the tokens, as releases of sqlglot attach them to different tokens.
    done = 0
    for token in (*tokens, SqlToken("sign", len(text), len(text), "", "")):
        between = text[done : token.start].strip()
        if between or token.written.startswith("/*"):
            raise UsageError(
                f"it holds a comment ({(between or token.written)[:20]} …)",
                "leave comments out: what follows one could go unnoticed",
            )
        done = token.end


def _pair(tokens: tuple[SqlToken, ...]) -> tuple[dict[int, int], tuple[int | None, ...]]:
    stack: list[int] = []
    closing: dict[int, int] = {}
    around: list[int | None] = []
    for index, token in enumerate(tokens):
        if token.kind == "sign" and token.written in _CLOSING.values():
            if not stack or _CLOSING[tokens[stack[-1]].written] != token.written:
                raise UsageError(f"its parentheses do not balance: {token.written} closes nothing that is open")
            closing[stack.pop()] = index
        around.append(stack[-1] if stack else None)
        if token.kind == "sign" and token.written in _CLOSING:
            stack.append(index)
    if stack:
        raise UsageError(f"its parentheses do not balance: {tokens[stack[-1]].written} is never closed")
    return closing, tuple(around)


def _within_selects(
    tokens: tuple[SqlToken, ...], closing: Mapping[int, int], around: tuple[int | None, ...]
) -> frozenset[int]:
    inner: set[int] = set()
    for index, token in enumerate(tokens):
        opening = around[index]
        heads = token.value == "select" or (token.value == "table" and opening == index - 1)
        if token.kind == "word" and heads and opening is not None and opening + 1 not in inner:
            inner.update(range(opening + 1, closing[opening]))
    return frozenset(inner)
