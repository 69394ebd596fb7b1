"""own-table: the condition or a value reads what the job itself changes, so each batch would find something else."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.bulk.strategies.strategy import AUTO
from batchops.db.facts import TableName
from batchops.sql.expression import is_default
from batchops.sql.subselects import called_functions
from batchops.sql.tokens import tokenize

_NEEDLESS = " (needless where one batch cannot change what the next one finds)"


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    if context.route.kind.evaluates_once:
        return
    for name in context.reads.changing():
        yield _finding(context, name)
    if columns := sorted(context.reads.set_by_keys):
        yield CheckRefusal(
            f"The condition names {', '.join(columns)}, which a foreign key sets in other rows of "
            f'"{context.table.label}" as rows are deleted: each batch would find other rows than one statement does.',
            _listed_instead(context) + _keys_aside(context),
        )


def _finding(context: CheckContext, name: TableName) -> CheckRefusal:
    own, column = name == (context.table.schema, context.table.name), _set_by(context, name)
    what = f'"{context.table.label}" itself' if own else f'"{name[1]}", whose rows change with them by a foreign key'
    reads = "The condition or a value" if column is None else f'The value of "{column}"'
    return CheckRefusal(
        f"{reads} reads {what}: each batch would find other rows than one statement over the whole table does.",
        _listed_instead(context) + (_values_aside(context, column) if column else _keys_aside(context)),
    )


def _set_by(context: CheckContext, name: TableName) -> str | None:
    """Return the first column whose new value reads that table; None if the condition reads it too."""
    pinned = context.route.pinned
    values = {column: f"({value}) IS NOT NULL" for column, value in pinned.assignments if not is_default(value)}
    reading = [column for column, text in values.items() if _reads_table(context, name, text)]
    condition = pinned.condition is not None and _reads_table(context, name, pinned.condition)
    return reading[0] if reading and not condition else None


def _reads_table(context: CheckContext, name: TableName, text: str) -> bool:
    return name in context.reads.read_by(
        text, called_functions(tokenize(text, context.database.backend.sql_functions.dialect))
    )


def _listed_instead(context: CheckContext) -> str:
    """Return what to change so that batchops can list the rows itself; empty if nothing helps."""
    if context.spec.ids is not None:
        return ""
    if context.found.key is None:
        return "add a primary key, so that batchops can list the rows once, or "
    if context.spec.ledger is not None:
        return "keep the ledger in the database itself, so that batchops can list the rows once, or "
    if context.spec.strategy != AUTO:
        return "leave --strategy out, so that batchops lists the rows once, or "
    return ""


def _keys_aside(context: CheckContext) -> str:
    return (
        f"copy the keys first (CREATE TABLE ids AS SELECT … FROM {context.table.label} WHERE …) and use --where "
        f"'id IN (SELECT id FROM ids)'{_NEEDLESS}"
    )


def _values_aside(context: CheckContext, column: str) -> str:
    table, key = context.table.label, context.route.pinned.key
    same = " AND ".join(f"v.{name} = {table}.{name}" for name in key)
    return (
        f"copy the values first (CREATE TABLE new_values AS SELECT {', '.join(key)}, … AS {column} FROM {table}; "
        f"CREATE UNIQUE INDEX new_values_key ON new_values ({', '.join(key)})) and use --set '{column} = (SELECT "
        f"v.{column} FROM new_values AS v WHERE {same})'{_NEEDLESS}"
    )


CHECK = Check("own-table", "the condition reads the table that it changes", _look)
