"""Matches the names in an expression with a table's columns."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from batchops.db.sql_functions import SqlFunctions
from batchops.errors import UsageError, did_you_mean
from batchops.sql.tokens import SqlTokens

# The parser takes their first argument for a column, but it is a keyword, or a sequence of MariaDB.
_KEYWORD_CALLS = frozenset({"get_format", "raise"})
_SEQUENCE_CALLS = frozenset({"nextval", "lastval", "setval"})


@dataclass(frozen=True)
class Columns:
    """The columns of one table, and how its database reads names."""

    table: str
    names: tuple[str, ...]
    sql_functions: SqlFunctions

    def same(self, written: str, name: str, *, quoted: bool) -> bool:
        """Whether a name, written like that, means `name`."""
        if not self.sql_functions.folds:
            return written.casefold() == name.casefold()
        return (written if quoted else written.lower()) == name

    def match(self, written: str, *, quoted: bool) -> str | None:
        """Return the column that is meant, as the table spells it; None where there is none."""
        return next((name for name in self.names if self.same(written, name, quoted=quoted)), None)

    def find(self, written: str, *, quoted: bool) -> str:
        """Return the column that is meant; UsageError with the nearest name if there is none."""
        name = self.match(written, quoted=quoted)
        if name is None:
            raise UsageError(f'table "{self.table}" has no column "{written}"', self._hint(written, quoted))
        return name

    def _hint(self, written: str, quoted: bool) -> str:
        quote = self.sql_functions.quote
        alike = [name for name in self.names if name.casefold() == written.casefold()]
        if alike:
            return f"write {quote}{alike[0]}{quote}: without quotes, or with other capitals, it is another name"
        if near := did_you_mean(written, self.names):
            return near
        if quoted and quote == '"':
            return f"a text value goes in single quotes: '{written}'"
        return f"it has {', '.join(self.names[:12])}{' …' if len(self.names) > 12 else ''}"


def refuse_shadowed(tokens: SqlTokens, known: Columns) -> None:
    """Raise UsageError for a bare word that means the session's user or time although a column has that name."""
    for index, token in enumerate(tokens.tokens):
        alone = token.kind == "word" and "." not in (tokens.at(index - 1).written, tokens.at(index + 1).written)
        if not alone or token.value not in known.sql_functions.shadows or tokens.called(index):
            continue
        column = known.match(token.value, quoted=False)
        if column is not None:
            quote = known.sql_functions.quote
            raise UsageError(
                f"{token.written} means the session's own here, not the column of that name",
                f"write {quote}{column}{quote} for the column",
            )


def columns_read(tree: exp.Expr, known: Columns) -> frozenset[str]:
    """Return the columns that the expression reads outside its sub-selects; UsageError for one that does not exist."""
    read: set[str] = set()
    for column in _columns_outside_subselects(tree):
        read.update(_columns_meant(column, known))
    return frozenset(read)


def columns_written_like(tokens: SqlTokens, known: Columns) -> frozenset[str]:
    """Return the columns whose names appear anywhere in the text: at least all that it reads."""
    names = (token for token in tokens.tokens if token.kind in {"word", "name"})
    found = {known.match(p.value if p.kind == "name" else p.written, quoted=p.kind == "name") for p in names}
    if any(known.same(p.value, known.table, quoted=p.kind == "name") for p in tokens.tokens):
        return frozenset(known.names)
    return frozenset(name for name in found if name is not None)


def _columns_outside_subselects(tree: exp.Expr) -> Iterator[exp.Column]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Query):
            continue
        if isinstance(node, exp.Column):
            yield node
        elif isinstance(node, exp.Collate):
            waiting.append(node.this)
        else:
            waiting.extend(node.iter_expressions())


def _columns_meant(column: exp.Column, known: Columns) -> tuple[str, ...]:
    name, quoted = column.name, bool(column.this.args.get("quoted"))
    if column.table and _argument_of(column, _SEQUENCE_CALLS):
        return ()
    if column.table:
        _check_table(column, known)
        if isinstance(column.this, exp.Star):
            return known.names
    match = known.match(name, quoted=quoted)
    if match is not None:
        return (match,)
    if not column.table and known.same(name, known.table, quoted=quoted):
        return known.names
    return () if _stands_alone(column, known.sql_functions) else (known.find(name, quoted=quoted),)


def _check_table(column: exp.Column, known: Columns) -> None:
    if known.same(column.table, known.table, quoted=bool(column.args["table"].args.get("quoted"))):
        return
    raise UsageError(
        f'"{column.table}" is not the table "{known.table}"',
        "only its own columns can be used; others in a sub-select",
    )


def _stands_alone(column: exp.Column, functions: SqlFunctions) -> bool:
    if not column.this.args.get("quoted") and column.name.lower() in functions.names | functions.time_functions.keys():
        return True
    return _argument_of(column, _KEYWORD_CALLS | _SEQUENCE_CALLS)


def _argument_of(column: exp.Column, functions: frozenset[str]) -> bool:
    return isinstance(column.parent, exp.Anonymous) and column.parent.name.lower() in functions
