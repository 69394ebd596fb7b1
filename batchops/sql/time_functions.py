"""Finds the time functions in an expression, and refuses volatile functions."""

from collections.abc import Iterator
from dataclasses import dataclass

from batchops.db.sql_functions import SqlFunctions
from batchops.errors import UsageError
from batchops.sql.tokens import SqlToken, SqlTokens

_SPANS = ("subsec", "subsecond")
_ORDERING = frozenset({"<", ">", "<=", ">=", "between"})


@dataclass(frozen=True)
class TimeFunctionCall:
    """A call of a time function and its place: `text[start:end]`."""

    start: int
    end: int
    spelling: str
    """The spelling by which `SqlFunctions.time_functions` lists it."""


def find_time_functions(tokens: SqlTokens, functions: SqlFunctions) -> tuple[TimeFunctionCall, ...]:
    """Return all calls of time functions in order, sub-selects included; UsageError for one that cannot be pinned."""
    found = [*_direct_calls(tokens, functions), *_now_arguments(tokens, functions)]
    _refuse_moments(tokens, functions)
    return tuple(sorted(found, key=lambda call: call.start))


def refuse_volatile(tokens: SqlTokens, functions: SqlFunctions, fresh: frozenset[str]) -> bool:
    """Raise UsageError for the first volatile function or word: its value changes, or it does more than return a value.

    Those in `fresh` are allowed; return whether the expression has one.
    """
    drawn = False
    for index, token in tokens.names():
        qualified = tokens.at(index - 1).written == "."
        if tokens.called(index):
            several = len(tokens.arguments(index))
            keys = [f"{token.value}()", f"{token.value}({several})"]
        elif qualified or tokens.at(index + 1).written == ".":
            continue
        else:
            keys = [token.value, f"{token.value} {tokens.at(index + 1).value}"]
        for key in keys:
            drawn = drawn or key in fresh
            if key in functions.volatile and key not in fresh:
                shown = token.written + ("()" if tokens.called(index) else "")
                raise UsageError(f"{shown} cannot be used here: {functions.volatile[key]}", _way_out(functions, key))
    return drawn


def _way_out(functions: SqlFunctions, key: str) -> str:
    if key in functions.fresh:
        return "it may be used only in --set, where each row gets a value once"
    if "--older-than" not in functions.volatile[key]:
        return "compute the value first and write it as a literal"
    return "--older-than 90d --by COLUMN compares with a time that is fixed at the start"


def _direct_calls(tokens: SqlTokens, functions: SqlFunctions) -> Iterator[TimeFunctionCall]:
    for index, token in tokens.names():
        start = _name_start(tokens, index, functions)
        if start is None:
            continue
        if not tokens.called(index):
            if token.value in functions.time_functions and tokens.at(index + 1).written != ".":
                yield TimeFunctionCall(start, token.end, token.value)
            continue
        closing = tokens.closing[index + 1]
        inside = "".join(p.written for p in tokens.tokens[index + 2 : closing])
        if f"{token.value}({inside})" in functions.time_functions:
            yield TimeFunctionCall(start, tokens.at(closing).end, f"{token.value}({inside})")


def _name_start(tokens: SqlTokens, index: int, functions: SqlFunctions) -> int | None:
    if tokens.at(index - 1).written != ".":
        return tokens.at(index).start
    schema = tokens.at(index - 2)
    return schema.start if functions.catalog and schema.value == functions.catalog else None


def _now_arguments(tokens: SqlTokens, functions: SqlFunctions) -> list[TimeFunctionCall]:
    found: list[TimeFunctionCall] = []
    reach: set[int] = set()
    for index, token in tokens.names():
        if token.value not in functions.time_arguments or not tokens.called(index):
            continue
        arguments = tokens.arguments(index)
        reach.update(i for argument in arguments for i in argument)
        for number in functions.time_arguments[token.value]:
            found += _now_argument(tokens, arguments[number]) if number < len(arguments) else []
    starts = {call.start for call in found}
    for i in sorted(reach):
        if _is_now(tokens.at(i)) and tokens.at(i).start not in starts:
            raise UsageError(
                f"{tokens.at(i).written} cannot be pinned here",
                "let it be the time function's own argument, or use --older-than or --before",
            )
    return found


def _now_argument(tokens: SqlTokens, argument: range) -> list[TimeFunctionCall]:
    token = tokens.at(argument.start)
    if len(argument) != 1:
        return []
    # SQLite reads a name in double quotes as a string if no column has it. Outside sub-selects it is refused as an
    # unknown column.
    if token.written.lower() == '"now"' and argument.start in tokens.inner:
        raise UsageError(f"{token.written} may mean the present moment", "write it in single quotes: 'now'")
    if token.kind == "string" and token.value.lower() in _SPANS:
        raise UsageError(f"{token.written} alone means the present moment", f"write 'now', {token.written}")
    return [TimeFunctionCall(token.start, token.end, "'now'")] if _is_now(token) else []


def _is_now(token: SqlToken) -> bool:
    return token.kind == "string" and token.value.lower() == "now"


def _refuse_moments(tokens: SqlTokens, functions: SqlFunctions) -> None:
    for index, token in enumerate(tokens.tokens):
        if token.kind != "string" or functions.moments.isdisjoint(token.value.lower().split()):
            continue
        if _becomes_time(tokens, index, functions) or _is_compared(tokens, index):
            raise UsageError(
                f"{token.written} means another time whenever a batch runs",
                "use now() or current_date, which are fixed at the start, or --older-than or --before",
            )


def _becomes_time(tokens: SqlTokens, index: int, functions: SqlFunctions) -> bool:
    before, after = tokens.at(index - 1), tokens.at(index + 1)
    if before.value in functions.time_types or before.value == "zone":
        return True
    if after.written == "::":
        return tokens.at(index + 2).value in functions.time_types
    if before.written == ")" and tokens.at(index - 4).value in functions.time_types:
        return True
    if before.written != "(":
        return False
    call = tokens.at(index - 2).value
    return call in functions.time_types or (
        call == "cast" and after.value == "as" and tokens.at(index + 2).value in functions.time_types
    )


def _is_compared(tokens: SqlTokens, index: int) -> bool:
    # PostgreSQL gives a bare string the type that it is compared with; in < and > with 'now', that is a time.
    before, after = tokens.at(index - 1), tokens.at(index + 1)
    return before.value in _ORDERING or after.value in _ORDERING
