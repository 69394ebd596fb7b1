"""Checks for mistakes that would make the user's expression another statement, or leave parameters without values."""

import re
from collections.abc import Collection, Iterator

from batchops.db.sql_functions import SqlFunctions, listed
from batchops.errors import UsageError
from batchops.sql.tokens import SqlToken, SqlTokens

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


def refuse_statements(tokens: SqlTokens) -> None:
    """Raise UsageError for a whole statement, a clause, or a statement in a sub-select that writes."""
    first, second = tokens.at(0), tokens.at(1)
    bare = second.kind in {"word", "name"} and second.operand
    if first.kind == "word" and first.value in _STATEMENTS and (first.value in _NEVER_NAMES or bare):
        hint = "leave the word WHERE out" if first.value == "where" else "give the condition or value alone"
        raise UsageError(f"it begins with {first.written.upper()}; it must be one bare expression", hint)
    for index, token in enumerate(tokens.tokens):
        if token.kind != "word":
            continue
        if (token.value, tokens.at(index + 1).value) in _WRITES:
            raise UsageError(f"it holds {token.written.upper()}, which would change rows by itself")
        if token.value == "select" and tokens.around[index] is None:
            raise UsageError("SELECT is outside parentheses", "put a sub-select in parentheses")


def refuse_commas(tokens: SqlTokens, hint: str) -> None:
    """Raise UsageError for a list in place of one expression."""
    if any(p.written == "," and tokens.around[i] is None for i, p in enumerate(tokens.tokens)):
        raise UsageError("a comma is outside parentheses", hint)


def refuse_aggregates(tokens: SqlTokens) -> None:
    """Raise UsageError for an aggregate or a window function, which need more than one row."""
    for index, token in tokens.names():
        if index in tokens.inner or tokens.at(index - 1).written == ".":
            continue
        over = token.value == "over" and tokens.at(index - 1).written == ")"
        if over or _is_aggregate(tokens, index):
            what = "a window function" if over else f"the aggregate {token.written}()"
            raise UsageError(f"it holds {what}, which looks at many rows", "put it in a sub-select: (SELECT … FROM …)")


def _is_aggregate(tokens: SqlTokens, index: int) -> bool:
    name = tokens.at(index).value
    if name not in _AGGREGATES or not tokens.called(index):
        return False
    # With two arguments, min and max are SQLite's names for least and greatest.
    return name not in {"min", "max"} or len(tokens.arguments(index)) < 2


def refuse_placeholders(tokens: SqlTokens, functions: SqlFunctions) -> None:
    """Raise UsageError for a parameter or a variable, as nothing gives it a value."""
    for index, token in enumerate(tokens.tokens):
        if token.kind == "sign" and _is_placeholder(tokens, index, functions):
            shown = _SHOWN.match(tokens.text, token.start)
            raise UsageError(
                f"it holds the placeholder or variable {shown[0] if shown else token.written}",
                "write the value itself",
            )


def _is_placeholder(tokens: SqlTokens, index: int, functions: SqlFunctions) -> bool:
    token = tokens.at(index)
    sign = token.written
    if sign.startswith("$"):
        return True
    if sign == "?":
        return sign not in functions.signs or not _is_operator(tokens, index)
    if sign in {"@", "@@"}:
        return sign not in functions.signs
    if sign == ":":
        return _names_parameter(tokens, index)
    return (
        sign == "%"
        and not tokens.at(index - 1).operand
        and _FORMAT_PLACEHOLDER.match(tokens.text, token.start) is not None
    )


def value_names(tokens: SqlTokens) -> Iterator[int]:
    """Yield the index of the colon of each `:name` that stands for a value.

    A colon in a string, of a cast or of JSON does not.
    """
    for index, token in enumerate(tokens.tokens):
        named = tokens.at(index + 1).kind == "word"
        if token.kind == "sign" and token.written == ":" and named and _names_parameter(tokens, index):
            yield index


def _is_operator(tokens: SqlTokens, index: int) -> bool:
    # PostgreSQL's JSON operator ? has a value on each side; its geometric ones (?-, ?#) continue with a sign.
    before, after = tokens.at(index - 1), tokens.at(index + 1)
    if tokens.touching(index) and after.kind == "sign" and after.written not in _BRACKETS:
        return True
    return before.operand and _begins_value(after)


def _begins_value(token: SqlToken) -> bool:
    if token.kind == "word":
        return token.operand
    return token.kind != "sign" or token.written == "("


def _names_parameter(tokens: SqlTokens, index: int) -> bool:
    opening = tokens.around[index]
    if opening is not None and tokens.at(opening).written == "[":
        return False
    follows = tokens.touching(index) and tokens.at(index + 1).kind in {"word", "name", "number"}
    # In JSON_OBJECT('key':value) there is a value before the colon. A word before it may be an operator.
    return follows and (not tokens.at(index - 1).operand or tokens.at(index - 1).kind == "word")


def refuse_dangling(tokens: SqlTokens) -> None:
    """Raise UsageError for a plain mistake in a text that sqlglot could not parse: a clause, or an operator alone."""
    clause = next((p for i, p in enumerate(tokens.tokens) if _is_clause(tokens, i)), None)
    if clause is not None:
        raise UsageError(f"it continues with {clause.written.upper()}", "give the bare expression alone")
    for index, token in enumerate(tokens.tokens):
        if _is_one_of(token, _INFIX) and not _is_part_of_operator(tokens, index):
            before, after = tokens.at(index - 1), tokens.at(index + 1)
            if _is_one_of(before, {"", "(", ","}) or _is_one_of(after, _INFIX | {"", ")", ","}):
                raise UsageError(f"{token.written} has no value on one side")


def _is_one_of(token: SqlToken, values: Collection[str]) -> bool:
    return token.kind in {"sign", "word"} and token.value in values


def _is_part_of_operator(tokens: SqlTokens, index: int) -> bool:
    # The tokenizer splits operators that it does not know, such as <<%, into several tokens.
    sides = [side for side, left in ((index - 1, index - 1), (index + 1, index)) if tokens.touching(left)]
    return any(tokens.at(side).kind == "sign" and tokens.at(side).written not in _BRACKETS for side in sides)


def _is_clause(tokens: SqlTokens, index: int) -> bool:
    token = tokens.at(index)
    return token.kind == "word" and token.value in _CLAUSES and tokens.around[index] is None


def refuse_neighbours(tokens: SqlTokens) -> None:
    """Raise UsageError for two values side by side at the end, which sqlglot takes for a value and its alias."""
    last = len(tokens.tokens) - 1
    left, right = tokens.at(last - 1), tokens.at(last)
    if right.kind in {"word", "name"} and left.operand and not tokens.touching(last - 1):
        raise UsageError(f"there is no operator between {left.written} and {right.written}")
