"""Checks the user's SQL: it must be one expression that means the same in every batch.

The checks guard against mistakes and are no security boundary. The server gets the text as it was written, except for
the time functions. Parentheses, comments, semicolons, placeholders, time functions and volatile names are checked in
the tokens alone; these checks always work. sqlglot only finds the columns and checks the syntax. A text that it cannot
parse may still be valid: unless it has a plain mistake, it passes with `followed` False, and the server checks it by
EXPLAIN before the first write.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from batchops.db.literals import Value
from batchops.db.sql_functions import SqlFunctions
from batchops.errors import UsageError
from batchops.sql.columns import Columns, columns_read, columns_written_like, refuse_shadowed
from batchops.sql.subselects import called_functions
from batchops.sql.time_functions import TimeFunctionCall, find_time_functions, refuse_volatile
from batchops.sql.tokens import SqlTokens, tokenize
from batchops.sql.validators import (
    refuse_aggregates,
    refuse_commas,
    refuse_dangling,
    refuse_neighbours,
    refuse_placeholders,
    refuse_statements,
    value_names,
)

NOTHING: Mapping[str, Value] = {}
_APART = frozenset({"", " ", "\n", "\t", "(", ")", ","})
"""Characters that may be next to a literal without becoming a part of it."""

_PLAIN_FUNCTIONS = frozenset({
    *("abs", "cast", "coalesce", "date_part", "date_trunc", "extract", "greatest", "least", "length", "lower", "mod"),
    *("now", "nullif", "round", "substr", "substring", "trim", "upper"),
    *("and", "or", "not", "in", "between", "like", "is", "case", "when", "then", "else", "interval"),
})  # fmt: skip
"""Names that may precede a parenthesis in an expression that reads only its own row: functions and keywords."""


@dataclass(frozen=True)
class Expression:
    """A condition or a value that has passed the checks and may be put into a statement, in parentheses."""

    text: str
    """As the user wrote it, without blanks around it."""
    columns: frozenset[str]
    """The table's columns that it reads outside sub-selects; all that it may read if not `followed`."""
    time_functions: tuple[TimeFunctionCall, ...]
    subquery: bool
    followed: bool
    """Whether sqlglot could parse it; if not, the server has to check its syntax and its columns."""
    fresh: bool = False
    """Whether it gives each row its own value: random, from a sequence, or the column's default."""

    def reads_row_alone(self, functions: SqlFunctions) -> bool:
        """Whether it certainly reads only its own row: it has no sub-select, and no function that might have one."""
        called = called_functions(tokenize(self.text, functions.dialect))
        return self.followed and not self.subquery and called <= _PLAIN_FUNCTIONS

    def pinned(self, literals: Mapping[str, str]) -> str:
        """Return the text with each time function replaced by its literal."""
        text = self.text
        for call in reversed(self.time_functions):
            text = text[: call.start] + literals[call.spelling] + text[call.end :]
        return text


@dataclass(frozen=True)
class Assignment:
    """`column = expression`."""

    column: str
    """The column's name, as the table spells it."""
    expression: Expression


def parse_condition(
    text: str, *, functions: SqlFunctions, table: str, columns: Collection[str], what: str = "--where",
    params: Mapping[str, Value] = NOTHING,
) -> Expression:  # fmt: skip
    """Check a condition and return it; UsageError, which begins with `what`, if it fails.

    `params` are the values for each `:name` in it; any other `:name` is refused.
    """
    if not text.strip():
        raise UsageError(f"{what}: the condition is empty", "for every row of the table, use --all-rows")
    try:
        known = Columns(table, tuple(columns), functions)
        return _checked(_with_values(text, functions, params), functions, known, "join conditions by AND or OR")
    except UsageError as error:
        raise UsageError(f"{what}: {error.message}", error.hint) from error


def parse_assignment(
    text: str, *, functions: SqlFunctions, table: str, columns: Collection[str], what: str = "--set",
    params: Mapping[str, Value] = NOTHING,
) -> Assignment:  # fmt: skip
    """Check an assignment, `column = expression`, and return it; UsageError, which begins with `what`, if it fails."""
    known = Columns(table, tuple(columns), functions)
    try:
        target, value = _split(tokenize(text, functions.dialect), known)
        if is_default(value) and "default" in functions.fresh:
            default = Expression("DEFAULT", frozenset(), (), subquery=False, followed=True, fresh=True)
            return Assignment(target, default)
        bound = _with_values(value, functions, params)
        return Assignment(target, _checked(bound, functions, known, "one column each: repeat --set", functions.fresh))
    except UsageError as error:
        raise UsageError(f"{what}: {error.message}", error.hint) from error


def plainly_idempotent(assignments: Iterable[Assignment]) -> bool:
    """Whether a second run of the assignments changes nothing.

    That holds if no value reads a column that is set, none is different each time, and none has a sub-select, which
    may read the table. The user's own functions are assumed to do none of that.
    """
    assignments = tuple(assignments)
    targets = {assignment.column for assignment in assignments}
    values = [assignment.expression for assignment in assignments]
    return not any(value.subquery or value.fresh or value.columns & targets for value in values)


def is_default(value: str) -> bool:
    """Whether the value is the keyword DEFAULT, which may not be in parentheses."""
    return value.strip().casefold() == "default"


def evaluate_time_functions(
    functions: SqlFunctions, spellings: Iterable[str], evaluate: Callable[[str], str]
) -> dict[str, str]:
    """Return the literal for each spelling; `evaluate` lets the server compute a SQL expression as text."""
    values: dict[str, str] = {}
    literals: dict[str, str] = {}
    for spelling in dict.fromkeys(spellings):
        function = functions.time_functions[spelling]
        if function.select not in values:
            values[function.select] = evaluate(function.select)
        literals[spelling] = function.literal.format(values[function.select].replace("'", "''"))
    return literals


def _checked(
    text: str, functions: SqlFunctions, known: Columns, one: str, fresh: frozenset[str] = frozenset()
) -> Expression:
    text = text.strip()
    tokens = tokenize(text, functions.dialect)
    refuse_statements(tokens)
    refuse_commas(tokens, one)
    refuse_placeholders(tokens, functions)
    refuse_aggregates(tokens)
    refuse_shadowed(tokens, known)
    drawn = refuse_volatile(tokens, functions, fresh)
    calls = find_time_functions(tokens, functions)
    tree = _parsed(tokens, functions)
    columns = columns_written_like(tokens, known) if tree is None else columns_read(tree, known)
    return Expression(text, columns, calls, subquery=bool(tokens.inner), followed=tree is not None, fresh=drawn)


def _with_values(text: str, functions: SqlFunctions, params: Mapping[str, Value]) -> str:
    """Return the text with each `:name` in `params` replaced by its value, as a literal of the database."""
    if not params:
        return text
    tokens = tokenize(text, functions.dialect)
    for index in sorted(value_names(tokens), reverse=True):
        colon, name = tokens.at(index), tokens.at(index + 1)
        if name.written in params:
            before, after = text[: colon.start], text[name.end :]
            # A blank if another character touches it: E:name must not become E'…', and two strings must not become one.
            left = "" if before[-1:] in _APART else " "
            right = "" if after[:1] in _APART else " "
            text = before + left + functions.literal(params[name.written]) + right + after
    return text


def _parsed(tokens: SqlTokens, functions: SqlFunctions) -> exp.Expr | None:
    try:
        statement = sqlglot.parse_one(f"SELECT 1 WHERE (\n{tokens.text}\n)", dialect=functions.dialect)
    except (SqlglotError, RecursionError):
        refuse_dangling(tokens)
        return None
    tree = statement.args["where"].this
    if isinstance(tree.this, exp.Alias):
        refuse_neighbours(tokens)
    # sqlglot may take an operator that it does not know for an alias or a parameter, and so hide a column.
    lost = tree.find(exp.Parameter, exp.SessionParameter) or isinstance(tree.this, exp.Alias | exp.Aliases)
    return None if lost else tree


def _split(tokens: SqlTokens, known: Columns) -> tuple[str, str]:
    equals = 3 if tokens.at(1).written == "." else 1
    target = tokens.at(equals - 1)
    if tokens.at(equals).written != "=" or target.kind not in {"word", "name"}:
        raise UsageError("it is not of the form column = expression", "for example --set \"status = 'done'\"")
    quoted = target.kind == "name"
    column = known.find(target.value if quoted else target.written, quoted=quoted)
    value = tokens.text[tokens.at(equals).end :]
    if not value.strip():
        raise UsageError(f"{column} is set to nothing", "for an empty text write '', for no value NULL")
    return column, value
