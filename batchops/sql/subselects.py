"""Finds the sub-selects in the user's SQL, and those that are one value, which can be computed at the start."""

from collections.abc import Iterator
from dataclasses import dataclass

from batchops.sql.tokens import SqlTokens

_OF_A_LIST = frozenset({"in", "any", "some", "all", "array", "exists"})
_NO_VALUE = _OF_A_LIST | {"from", "join", "lateral", "union", "except", "intersect", "values", "with", "as", "distinct"}
_BEFORE_A_VALUE = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "||", "%", "("}) | {
    *("and", "or", "not", "between", "when", "then", "else", "case", "where", "on", "select", "like"),
}
"""Tokens after which a sub-select inside another one is a value; after a comma or a name it may be a table."""


@dataclass(frozen=True)
class SubSelect:
    """A sub-select: `text[start:end]` with its parentheses, and with the EXISTS before them."""

    start: int
    end: int
    value: bool
    """Whether it is one value, or true or false, and not a list or a table."""


def subselects(tokens: SqlTokens) -> tuple[SubSelect, ...]:
    """Return the outermost sub-selects, in order."""
    return tuple(_within(tokens, 0, len(tokens.tokens), nested=False))


def inner_subselects(tokens: SqlTokens, outer: SubSelect) -> tuple[SubSelect, ...]:
    """Return the outermost sub-selects within another one.

    None if that one has WITH, whose names mean nothing outside it.
    """
    first = next(i for i, token in enumerate(tokens.tokens) if token.start >= outer.start and token.written == "(")
    last = tokens.closing[first]
    if any(token.kind == "word" and token.value == "with" for token in tokens.tokens[first:last]):
        return ()
    while tokens.closing.get(first + 1) == last - 1:  # ((SELECT …))
        first, last = first + 1, last - 1
    return tuple(_within(tokens, first + 1, last, nested=True))


def called_functions(tokens: SqlTokens) -> frozenset[str]:
    """Return the names, in lower case, that are followed by an opening parenthesis."""
    return frozenset(token.value.lower() for index, token in tokens.names() if tokens.called(index))


def _within(tokens: SqlTokens, first: int, last: int, *, nested: bool) -> Iterator[SubSelect]:
    index = first
    while index < last:
        if tokens.at(index).written == "(" and _holds_select(tokens, index):
            begin, end = _outer_parentheses(tokens, index)
            yield _subselect(tokens, begin, end, nested=nested)
            index = end
        index += 1


def _holds_select(tokens: SqlTokens, opening: int) -> bool:
    """Whether a SELECT is directly inside these parentheses."""
    inside = range(opening + 1, tokens.closing[opening])
    return any(
        tokens.around[i] == opening and tokens.at(i).kind == "word" and tokens.at(i).value == "select" for i in inside
    )


def _outer_parentheses(tokens: SqlTokens, opening: int) -> tuple[int, int]:
    """Return the tokens of the outermost redundant parentheses around a sub-select."""
    closing = tokens.closing[opening]
    while (
        tokens.at(opening - 1).written == "("
        and tokens.closing.get(opening - 1) == closing + 1
        and not (tokens.at(opening - 2).kind in {"word", "name"} and tokens.at(opening - 2).operand)
        and tokens.at(opening - 2).value not in _OF_A_LIST
    ):
        opening, closing = opening - 1, closing + 1
    return opening, closing


def _subselect(tokens: SqlTokens, begin: int, end: int, *, nested: bool) -> SubSelect:
    before, after = tokens.at(begin - 1), tokens.at(end + 1)
    stop = tokens.at(end).end
    if before.kind == "word" and before.value == "exists":
        return SubSelect(before.start, stop, value=True)
    listed = before.value in _NO_VALUE or after.value in {"union", "except", "intersect"}
    if before.written == "(" and tokens.at(begin - 2).value in _OF_A_LIST:
        listed = True
    if nested and not _after_an_operator(tokens, begin - 1):
        listed = True
    return SubSelect(tokens.at(begin).start, stop, value=not listed)


def _after_an_operator(tokens: SqlTokens, index: int) -> bool:
    """Whether a sub-select after that token is a value; after FROM ((, for example, it is a table."""
    while tokens.at(index).written == "(" and tokens.at(index - 1).written == "(":
        index -= 1
    if tokens.at(index).written != "(":
        return tokens.at(index).value in _BEFORE_A_VALUE
    before = tokens.at(index - 1)
    return before.value in _BEFORE_A_VALUE or (tokens.called(index - 1) and before.operand)
