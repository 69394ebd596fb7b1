"""Slips that would make another statement of the user's expression, or ask for values that nobody binds."""

import re
from collections.abc import Collection, Iterator

from batchops.db.sql_functions import Words, listed
from batchops.errors import UsageError
from batchops.sql.tokens import Piece, Pieces

_AGGREGATES = listed(
    """count sum avg min max total any_value every bool_and bool_or bit_and bit_or bit_xor group_concat
    string_agg array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg json_arrayagg json_objectagg
    json_group_array json_group_object xmlagg range_agg stddev stddev_pop stddev_samp std variance var_pop
    var_samp corr covar_pop covar_samp percentile_cont percentile_disc mode"""
)
_STATEMENTS = listed(
    """select with where delete update insert merge replace truncate drop alter create grant revoke call
    set begin commit rollback explain vacuum analyze copy do"""
)
_NEVER_NAMES = frozenset({"select", "with", "where"})
_WRITES = frozenset({("delete", "from"), ("insert", "into"), ("merge", "into"), ("replace", "into")})
_CLAUSES = listed("where limit having returning union except intersect") | {"order by", "group by"}
_INFIX = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "and", "or"})
_BRACKETS = frozenset("()[]{},")
_SHOWN = re.compile(r"%\(\w+\)s|[^\w\s(),]+\w*")
_FORMAT_PLACEHOLDER = re.compile(r"%(s\b|\(\w+\)s\b)")


def refuse_statements(pieces: Pieces) -> None:
    """UsageError for a whole statement, a clause, or one that writes from inside a sub-select."""
    first, second = pieces.at(0), pieces.at(1)
    bare = second.kind in {"word", "name"} and second.operand
    if first.kind == "word" and first.value in _STATEMENTS and (first.value in _NEVER_NAMES or bare):
        hint = "leave the word WHERE out" if first.value == "where" else "give the condition or value alone"
        raise UsageError(f"it begins with {first.written.upper()}; it must be one bare expression", hint)
    for index, piece in enumerate(pieces.pieces):
        if piece.kind != "word":
            continue
        if (piece.value, pieces.at(index + 1).value) in _WRITES:
            raise UsageError(f"it holds {piece.written.upper()}, which would change rows by itself")
        if piece.value == "select" and pieces.around[index] is None:
            raise UsageError("SELECT stands outside parentheses", "put a sub-select in parentheses")


def refuse_commas(pieces: Pieces, hint: str) -> None:
    """UsageError for a list where one expression is wanted."""
    if any(p.written == "," and pieces.around[i] is None for i, p in enumerate(pieces.pieces)):
        raise UsageError("a comma stands outside parentheses", hint)


def refuse_aggregates(pieces: Pieces) -> None:
    """UsageError for an aggregate or a window function, which need more than the one row."""
    for index, piece in pieces.names():
        if index in pieces.inner or pieces.at(index - 1).written == ".":
            continue
        over = piece.value == "over" and pieces.at(index - 1).written == ")"
        if over or _aggregates(pieces, index):
            what = "a window function" if over else f"the aggregate {piece.written}()"
            raise UsageError(f"it holds {what}, which looks at many rows", "put it in a sub-select: (SELECT … FROM …)")


def _aggregates(pieces: Pieces, index: int) -> bool:
    name = pieces.at(index).value
    if name not in _AGGREGATES or not pieces.called(index):
        return False
    # With two arguments they are SQLite's greatest and least.
    return name not in {"min", "max"} or len(pieces.arguments(index)) < 2


def refuse_placeholders(pieces: Pieces, words: Words) -> None:
    """UsageError for a parameter or a variable: there is nobody to give it a value."""
    for index, piece in enumerate(pieces.pieces):
        if piece.kind == "sign" and _is_placeholder(pieces, index, words):
            shown = _SHOWN.match(pieces.text, piece.start)
            raise UsageError(
                f"it holds the placeholder or variable {shown[0] if shown else piece.written}",
                "write the value itself",
            )


def _is_placeholder(pieces: Pieces, index: int, words: Words) -> bool:
    piece = pieces.at(index)
    sign = piece.written
    if sign.startswith("$"):
        return True
    if sign == "?":
        return sign not in words.signs or not _joins(pieces, index)
    if sign in {"@", "@@"}:
        return sign not in words.signs
    if sign == ":":
        return _names_parameter(pieces, index)
    return (
        sign == "%"
        and not pieces.at(index - 1).operand
        and _FORMAT_PLACEHOLDER.match(pieces.text, piece.start) is not None
    )


def value_names(pieces: Pieces) -> Iterator[int]:
    """Where `:name` asks for a value: the colon's index. Not in a string, nor the colon of a cast or of JSON."""
    for index, piece in enumerate(pieces.pieces):
        named = pieces.at(index + 1).kind == "word"
        if piece.kind == "sign" and piece.written == ":" and named and _names_parameter(pieces, index):
            yield index


def _joins(pieces: Pieces, index: int) -> bool:
    # PostgreSQL's JSON operator has a value on either side; its geometric ones (?-, ?#) go on with a sign.
    before, after = pieces.at(index - 1), pieces.at(index + 1)
    if pieces.touching(index) and after.kind == "sign" and after.written not in _BRACKETS:
        return True
    return before.operand and _begins_value(after)


def _begins_value(piece: Piece) -> bool:
    if piece.kind == "word":
        return piece.operand
    return piece.kind != "sign" or piece.written == "("


def _names_parameter(pieces: Pieces, index: int) -> bool:
    opening = pieces.around[index]
    if opening is not None and pieces.at(opening).written == "[":
        return False
    follows = pieces.touching(index) and pieces.at(index + 1).kind in {"word", "name", "number"}
    # JSON_OBJECT('key':value) has a value on its left; a word there may be an operator.
    return follows and (not pieces.at(index - 1).operand or pieces.at(index - 1).kind == "word")


def refuse_dangling(pieces: Pieces) -> None:
    """UsageError for a plain slip in a text that the parser could not follow: a clause, an operator alone."""
    clause = next((p for i, p in enumerate(pieces.pieces) if _is_clause(pieces, i)), None)
    if clause is not None:
        raise UsageError(f"it goes on with {clause.written.upper()}", "give the bare expression alone")
    for index, piece in enumerate(pieces.pieces):
        if _in(piece, _INFIX) and not _longer(pieces, index):
            before, after = pieces.at(index - 1), pieces.at(index + 1)
            if _in(before, {"", "(", ","}) or _in(after, _INFIX | {"", ")", ","}):
                raise UsageError(f"{piece.written} has no value on one side")


def _in(piece: Piece, values: Collection[str]) -> bool:
    return piece.kind in {"sign", "word"} and piece.value in values


def _longer(pieces: Pieces, index: int) -> bool:
    # Operators that the tokenizer does not know, such as <<%, come in pieces.
    sides = [side for side, left in ((index - 1, index - 1), (index + 1, index)) if pieces.touching(left)]
    return any(pieces.at(side).kind == "sign" and pieces.at(side).written not in _BRACKETS for side in sides)


def _is_clause(pieces: Pieces, index: int) -> bool:
    piece = pieces.at(index)
    return piece.kind == "word" and piece.value in _CLAUSES and pieces.around[index] is None


def refuse_neighbours(pieces: Pieces) -> None:
    """UsageError for two values side by side at the end, which the parser takes for a value and its alias."""
    last = len(pieces.pieces) - 1
    left, right = pieces.at(last - 1), pieces.at(last)
    if right.kind in {"word", "name"} and left.operand and not pieces.touching(last - 1):
        raise UsageError(f"no operator stands between {left.written} and {right.written}")
