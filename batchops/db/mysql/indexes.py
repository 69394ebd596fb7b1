"""Which index MariaDB's or MySQL's own plan of a selection would use."""

from typing import Any

import sqlalchemy as sa

from batchops.db.backend import IndexUse
from batchops.db.explain import explained
from batchops.db.mysql.products import product_of
from batchops.db.table import Table

_COLUMNS = sa.text("""
SELECT column_name FROM information_schema.statistics
WHERE table_schema = coalesce(:schema, database()) AND table_name = :table AND index_name = :index
  AND index_type = 'BTREE' ORDER BY seq_in_index
""")


def index_for(connection: sa.Connection, table: Table, select: sa.Select[Any]) -> IndexUse | None:
    """The one index by a range or a value of which the optimiser would find all rows of `select`.

    Every InnoDB index ends with the primary key, so rows with one value have an order to be followed by.
    """
    rows = explained(connection, select, product_of(connection).explain).mappings().all()
    if len(rows) != 1 or rows[0]["type"] not in ("range", "ref") or rows[0]["key"] is None:
        return None
    name = rows[0]["key"]
    asked = {"schema": table.schema, "table": table.name, "index": name}
    columns = list(connection.execute(_COLUMNS, asked).scalars())
    estimate = round(float(rows[0]["rows"]) * float(rows[0]["filtered"] or 100) / 100)
    return IndexUse(name, tuple(columns), estimate, 0.0) if columns and columns[0] else None
