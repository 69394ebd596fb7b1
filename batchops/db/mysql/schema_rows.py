"""Reads rows of information_schema about some tables.

MariaDB limits itself to one schema only if the query compares the schema with one value, and to one table only if it
also compares the name with one value. For pairs in a list it opens every table of the server.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

PLACE = "(__tables__)"
"""The placeholder in a query for the condition on the tables; it must be the only condition on the schema."""


def rows_about(
    connection: sa.Connection, query: str, tables: Iterable[tuple[str, str]], schema: str = "table_schema",
    name: str = "table_name",
) -> Sequence[sa.Row[Any]]:  # fmt: skip
    """Return the query's rows about the tables, sorted by schema.

    `schema` and `name` are the columns that identify a table in the query. It selects the table's name as `n`: the
    server's comparison ignores case, so rows about names that differ only in case are left out here.
    """
    found: list[sa.Row[Any]] = []
    for of, listed in groupby(sorted(set(tables)), key=lambda table: table[0]):
        names = [one for _, one in listed]
        if len(names) == 1:
            only = sa.text(query.replace(PLACE, f"({schema} = :schema AND {name} = :name)"))
            rows = connection.execute(only, {"schema": of, "name": names[0]})
        else:
            several = sa.text(query.replace(PLACE, f"({schema} = :schema AND {name} IN :names)"))
            several = several.bindparams(sa.bindparam("names", expanding=True))
            rows = connection.execute(several, {"schema": of, "names": names})
        found += (row for row in rows if row.n in names)
    return found
