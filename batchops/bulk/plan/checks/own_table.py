"""own-table: the condition or a value reads what the job itself changes, so each batch would find something else."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.chains import links
from batchops.bulk.plan.checks.context import Check, CheckContext, Objection
from batchops.db.facts import TableName
from batchops.sql.expression import is_default
from batchops.sql.subselects import called_functions, subselects
from batchops.sql.tokens import SqlToken, SqlTokens, tokenize

_BEFORE_A_TABLE = frozenset({"from", "join", ",", "only", "straight_join"})
_NAMED_BY_PLACE = frozenset({"natural", "using", "*"})


def _look(context: CheckContext) -> Iterator[Objection]:
    for name in sorted(_changed(context) & context.read_besides, key=str):
        if not _untouched(context, name, context.tokens):
            yield _finding(context, name)


def _changed(context: CheckContext) -> set[TableName]:
    """The table, and those whose rows its foreign keys change with it."""
    behind = {(link.reference.child.schema, link.reference.child.name) for link in links(context) if link.changes}
    return behind | {(context.table.schema, context.table.name)}


def _untouched(context: CheckContext, name: TableName, tokens: list[SqlTokens]) -> bool:
    """Whether a backfill sets no column that a sub-select could read of its own table."""
    if not context.sets or name != (context.table.schema, context.table.name):
        return False
    generated = [column.name for column in context.table.columns if column.generated]
    changing = {column.casefold() for column in (*context.sets, *context.facts.follow_updates, *generated)}
    if any(_reads(one, changing, context.table.name.casefold()) for one in tokens):
        return False
    # The columns that a view or a function reads stand nowhere in the text.
    functions = frozenset[str]().union(*(called_functions(one) for one in tokens))
    if functions and name in context.read_by("true", functions):
        return False
    own = context.table.name.casefold()
    others = {source for one in tokens for source in _sources(one) if source.rpartition(".")[2].strip('"`') != own}
    return not any(
        name in context.read_by(f"EXISTS (SELECT 1 FROM {source})", frozenset()) for source in sorted(others)
    )


def _inside(tokens: SqlTokens) -> list[int]:
    """The tokens within sub-selects."""
    spans = subselects(tokens)
    return [i for i, p in enumerate(tokens.tokens) if any(s.start <= p.start < s.end for s in spans)]


def _reads(tokens: SqlTokens, columns: set[str], table: str) -> bool:
    inside = _inside(tokens)
    names = {tokens.at(i).value.casefold() for i in inside if _named(tokens, i)}
    return bool(names & columns) or any(_by_place(tokens, i) or _whole(tokens, i, table) for i in inside)


def _named(tokens: SqlTokens, index: int) -> bool:
    token = tokens.at(index)
    return token.kind in {"word", "name"} or token.written.startswith('"')  # a name, with ANSI_QUOTES


def _sources(tokens: SqlTokens) -> Iterator[str]:
    """What may be a table or a view, as it is written."""
    for index in _inside(tokens):
        if _named(tokens, index) and tokens.at(index - 1).value in _BEFORE_A_TABLE and not tokens.called(index):
            last = index
            while tokens.at(last + 1).written == "." and _named(tokens, last + 2):
                last += 2
            yield tokens.text[tokens.at(index).start : tokens.at(last).end]


def _whole(tokens: SqlTokens, index: int, table: str) -> bool:
    """Whether the table gives its columns other names there, or is handed on as a whole row."""
    if not _named(tokens, index):
        return False
    here = tokens.at(index).value.casefold()
    before, after = tokens.at(index - 1).value, tokens.at(index + 1).written
    if here == table and before in _BEFORE_A_TABLE | {"."}:
        alias = index + 2 if tokens.at(index + 1).value == "as" else index + 1
        return _named(tokens, alias) and tokens.called(alias) and tokens.at(alias).operand
    return here in _names_of(tokens, table) and after != "." and not _introduced(tokens, index, table)


def _names_of(tokens: SqlTokens, table: str) -> set[str]:
    """What the table is called in sub-selects."""
    found = {table}
    return found | {tokens.at(i).value.casefold() for i in _inside(tokens) if _introduced(tokens, i, table)}


def _introduced(tokens: SqlTokens, index: int, table: str) -> bool:
    """Whether that is an alias, directly behind the table's name."""
    behind = index - 2 if tokens.at(index - 1).value == "as" else index - 1
    if not (_named(tokens, index) and tokens.at(index).operand and _named(tokens, behind)):
        return False
    return tokens.at(behind).value.casefold() == table and tokens.at(behind - 1).value in _BEFORE_A_TABLE | {"."}


def _by_place(tokens: SqlTokens, index: int) -> bool:
    """Whether columns are taken without their names there. count(*) and EXISTS (SELECT * …) read none."""
    token: SqlToken = tokens.at(index)
    if token.value not in _NAMED_BY_PLACE or token.kind == "string":
        return False
    before = tokens.at(index - 1)
    if token.value != "*":
        return True
    if before.written == "(" and tokens.at(index - 2).value == "count":
        return False
    exists = before.value == "select" and tokens.at(index - 3).value == "exists"
    return not exists and (before.value in {"select", ",", "."} or before.written == ".")


def _finding(context: CheckContext, name: TableName) -> Objection:
    own, column = name == (context.table.schema, context.table.name), _set_by(context, name)
    what = f'"{context.table.label}" itself' if own else f'"{name[1]}", whose rows change with them by a foreign key'
    reads = "The condition or a value" if column is None else f'The value of "{column}"'
    return Objection(
        f"{reads} reads {what}: each batch would find other rows than one statement over the whole table does.",
        _values_aside(context, column) if column else _keys_aside(context),
    )


def _set_by(context: CheckContext, name: TableName) -> str | None:
    """The first column that is set by what reads that table; None where the condition reads it too."""
    pinned = context.route.pinned
    values = {column: f"({value}) IS NOT NULL" for column, value in pinned.assignments if not is_default(value)}
    reading = [column for column, text in values.items() if _reads_table(context, name, text)]
    condition = pinned.condition is not None and _reads_table(context, name, pinned.condition)
    return reading[0] if reading and not condition else None


def _reads_table(context: CheckContext, name: TableName, text: str) -> bool:
    return name in context.read_by(
        text, called_functions(tokenize(text, context.database.backend.sql_functions.dialect))
    )


def _keys_aside(context: CheckContext) -> str:
    return (
        f"copy the keys first (CREATE TABLE ids AS SELECT … FROM {context.table.label} WHERE …) and use --where "
        "'id IN (SELECT id FROM ids)', or, where one batch cannot change what the next one finds"
    )


def _values_aside(context: CheckContext, column: str) -> str:
    table, key = context.table.label, context.route.pinned.key
    same = " AND ".join(f"v.{name} = {table}.{name}" for name in key)
    return (
        f"copy the values first (CREATE TABLE new_values AS SELECT {', '.join(key)}, … AS {column} FROM {table}; "
        f"CREATE UNIQUE INDEX new_values_key ON new_values ({', '.join(key)})) and use --set '{column} = (SELECT "
        f"v.{column} FROM new_values AS v WHERE {same})', or, where one batch cannot change what the next one finds"
    )


CHECK = Check("own-table", "the condition reads the table that it changes", _look)
