"""The mark that a purge with children may set on its rows first: --mark "col = value", checked."""

from collections.abc import Mapping, Sequence

from batchops.bulk.children.graph import Graph
from batchops.db.database import Database
from batchops.db.literals import Value
from batchops.errors import RefusedError, UsageError
from batchops.sql.expression import Assignment, parse_assignment


def checked_mark(
    database: Database, graph: Graph, text: str, key: Sequence[str], params: Mapping[str, Value]
) -> Assignment:  # fmt: skip
    """The assignment; UsageError or RefusedError for a column that cannot be set so, or by which rows are found."""
    table, functions = graph.root, database.backend.sql_functions
    mark = parse_assignment(
        text, functions=functions, table=table.name, columns=table.column_names, what="--mark", params=params
    )
    if table.column(mark.column).generated:
        raise UsageError(f'--mark: column "{mark.column}" is generated; the database itself computes it.')
    if mark.column in key or any(mark.column in edge.referred for edge in graph.to(table)):
        raise RefusedError(
            f'--mark: rows of "{table.label}" are found by "{mark.column}", so it has to stay as it is.',
            "mark another column.",
        )
    if mark.expression.subquery or mark.expression.fresh:
        raise UsageError(
            "--mark: the value may read nothing but the row.", "use a literal or the time: status = 'going'"
        )
    return mark
