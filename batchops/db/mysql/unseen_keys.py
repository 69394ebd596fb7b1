"""Foreign keys to a table that information_schema hides, as this account has no right to the tables that have them."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.faults import Fault, driver_error
from batchops.db.foreign_keys import Unseen
from batchops.db.mysql.faults import classify
from batchops.db.mysql.rights import hides
from batchops.db.table import Table

_ACTING = 1 | 2
"""InnoDB's bits for ON DELETE CASCADE and SET NULL."""
_NO_TABLE = "batchops_no_such_table"


def _part(column: str, place: int) -> str:
    """InnoDB keeps "schema/table" as it names files."""
    name = f"substring_index({column}, '/', {place})"
    return f"convert(convert(cast({name} AS binary) USING filename) USING utf8mb4)"


_INNODB = f"""
SELECT nullif({_part("for_name", 1)}, database()) AS s, {_part("for_name", -1)} AS n, type
FROM information_schema.{{view}}
WHERE {_part("ref_name", 1)} = coalesce(:schema, database()) AND {_part("ref_name", -1)} = :name
"""
_SEEN = sa.text("""
SELECT DISTINCT nullif(table_schema, database()) AS s, table_name AS n FROM information_schema.key_column_usage
WHERE referenced_table_schema = coalesce(:schema, database()) AND referenced_table_name = :name
""")


def unseen_keys(connection: sa.Connection, table: Table, view: str) -> Unseen:
    """Return what InnoDB itself tells, for the right PROCESS; else whether the account may read all of the schema."""
    names = {"schema": table.schema, "name": table.name}
    try:
        every = connection.execute(sa.text(_INNODB.format(view=view)), names).all()
    except DBAPIError as error:
        if classify(driver_error(error)) is not Fault.DENIED:
            raise
        return Unseen(possible=hides(connection, replace(table, name=_NO_TABLE, alias=None)))
    seen = {(row.s, row.n) for row in connection.execute(_SEEN, names)}
    acting = {
        ".".join(filter(None, (row.s, row.n))) for row in every if row.type & _ACTING and (row.s, row.n) not in seen
    }
    return Unseen(tuple(sorted(acting)))
