"""Rows of information_schema about some tables.

MariaDB opens the tables of one schema only where the schema is compared with one value, and one table only where its
name is too; for a pair in a list it opens every table of the server.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

PLACE = "(__tables__)"
"""Takes the place of the condition on the tables in a query, as the sole one on the schema."""


def rows_about(
    connection: sa.Connection, query: str, tables: Iterable[tuple[str, str]], schema: str = "table_schema",
    name: str = "table_name",
) -> Sequence[sa.Row[Any]]:  # fmt: skip
    """The query's rows, by schema; `schema` and `name`: the columns that name a table there.

    The query selects the table's name as `n`: the comparison takes names that differ in capitals for one.
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
