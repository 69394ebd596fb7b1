"""The sub-selects in the user's SQL, and which of them stand for one value that can be computed at the start."""

from collections.abc import Iterator
from dataclasses import dataclass

from batchops.sql.tokens import Pieces

_OF_A_LIST = frozenset({"in", "any", "some", "all", "array", "exists"})
_NO_VALUE = _OF_A_LIST | {"from", "join", "lateral", "union", "except", "intersect", "values", "with", "as", "distinct"}
_BEFORE_A_VALUE = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "||", "%", "("}) | {
    *("and", "or", "not", "between", "when", "then", "else", "case", "where", "on", "select", "like"),
}
"""What a value follows inside another sub-select, where a comma or a name may introduce a table as well."""


@dataclass(frozen=True)
class SubSelect:
    """`text[start:end]`: in its parentheses, or with the EXISTS before them."""

    start: int
    end: int
    value: bool
    """Whether it stands for one value, or true or false, rather than for a list or a table."""


def subselects(pieces: Pieces) -> tuple[SubSelect, ...]:
    """The outermost sub-selects, in order."""
    return tuple(_within(pieces, 0, len(pieces.pieces), nested=False))


def inner_subselects(pieces: Pieces, outer: SubSelect) -> tuple[SubSelect, ...]:
    """The outermost ones within another; none of one WITH names of its own, which mean nothing outside it."""
    first = next(i for i, piece in enumerate(pieces.pieces) if piece.start >= outer.start and piece.written == "(")
    last = pieces.closing[first]
    if any(piece.kind == "word" and piece.value == "with" for piece in pieces.pieces[first:last]):
        return ()
    while pieces.closing.get(first + 1) == last - 1:  # ((SELECT …))
        first, last = first + 1, last - 1
    return tuple(_within(pieces, first + 1, last, nested=True))


def called_functions(pieces: Pieces) -> frozenset[str]:
    """The names, in lower case, that are followed by an opening parenthesis."""
    return frozenset(piece.value.lower() for index, piece in pieces.names() if pieces.called(index))


def _within(pieces: Pieces, first: int, last: int, *, nested: bool) -> Iterator[SubSelect]:
    index = first
    while index < last:
        if pieces.at(index).written == "(" and _selects(pieces, index):
            begin, end = _bare(pieces, index)
            yield _found(pieces, begin, end, nested=nested)
            index = end
        index += 1


def _selects(pieces: Pieces, opening: int) -> bool:
    """Whether a SELECT stands directly between these parentheses."""
    inside = range(opening + 1, pieces.closing[opening])
    return any(
        pieces.around[i] == opening and pieces.at(i).kind == "word" and pieces.at(i).value == "select" for i in inside
    )


def _bare(pieces: Pieces, opening: int) -> tuple[int, int]:
    """The outermost of redundant parentheses around it, as pieces."""
    closing = pieces.closing[opening]
    while (
        pieces.at(opening - 1).written == "("
        and pieces.closing.get(opening - 1) == closing + 1
        and not (pieces.at(opening - 2).kind in {"word", "name"} and pieces.at(opening - 2).operand)
        and pieces.at(opening - 2).value not in _OF_A_LIST
    ):
        opening, closing = opening - 1, closing + 1
    return opening, closing


def _found(pieces: Pieces, begin: int, end: int, *, nested: bool) -> SubSelect:
    before, after = pieces.at(begin - 1), pieces.at(end + 1)
    stop = pieces.at(end).end
    if before.kind == "word" and before.value == "exists":
        return SubSelect(before.start, stop, value=True)
    listed = before.value in _NO_VALUE or after.value in {"union", "except", "intersect"}
    if before.written == "(" and pieces.at(begin - 2).value in _OF_A_LIST:
        listed = True
    if nested and not _after_an_operator(pieces, begin - 1):
        listed = True
    return SubSelect(pieces.at(begin).start, stop, value=not listed)


def _after_an_operator(pieces: Pieces, index: int) -> bool:
    """Whether what follows that piece is a value; behind FROM ((, it is a table."""
    while pieces.at(index).written == "(" and pieces.at(index - 1).written == "(":
        index -= 1
    if pieces.at(index).written != "(":
        return pieces.at(index).value in _BEFORE_A_VALUE
    before = pieces.at(index - 1)
    return before.value in _BEFORE_A_VALUE or (pieces.called(index - 1) and before.operand)
