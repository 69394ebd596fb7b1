"""What information_schema says about the server and its tables. Names go in as bound values only."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from batchops.db.catalog import Server
from batchops.db.faults import Fault
from batchops.db.mysql import faults
from batchops.db.mysql.rights import hides
from batchops.db.mysql.schema_rows import rows_about
from batchops.db.table import Column, Key, Table, TableIdentity

_KINDS = {"BASE TABLE": "table", "VIEW": "view", "SYSTEM VERSIONED": "table", "SEQUENCE": "view"}

_FIND = sa.text("""
SELECT table_schema AS s, table_name AS n, table_type AS kind, table_rows AS estimate, engine,
       data_length + index_length AS size
FROM information_schema.tables
WHERE table_name = :name AND table_schema = coalesce(:schema, database())
""")

# DEFAULT_GENERATED, which MySQL reports for a default that is an expression, does not mean a generated column; and
# GENERATED is a reserved word there.
_LISTED = """
SELECT table_schema AS s, table_name AS n, table_type AS kind, table_rows AS estimate, engine,
       data_length + index_length AS size
FROM information_schema.tables WHERE (__tables__)
"""

_COLUMNS = """
SELECT table_schema AS s, table_name AS n, column_name AS name, column_type AS type, is_nullable = 'YES' AS nullable,
       extra LIKE '% GENERATED%' AS computed, nullif(column_default, 'NULL') AS preset
FROM information_schema.columns WHERE (__tables__)
ORDER BY table_schema, table_name, ordinal_position
"""

_KEYS = """
SELECT table_schema AS s, table_name AS n, index_name AS name, column_name AS col, sub_part AS part,
       nullable = 'YES' AS nullable
FROM information_schema.statistics
WHERE (__tables__) AND non_unique = 0 AND index_type = 'BTREE'
ORDER BY table_schema, table_name, index_name <> 'PRIMARY', index_name, seq_in_index
"""

# InnoDB encodes names as file names, and lists a partition as a table of its own.
_TABLE_ID = """
SELECT table_id FROM information_schema.{view}
WHERE name = CONCAT(CONVERT(CONVERT(COALESCE(:schema, DATABASE()) USING filename) USING binary), '/',
                    CONVERT(CONVERT(:name USING filename) USING binary))
"""
_TABLES = sa.text(
    "SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY 1 LIMIT 5000"
)

_EXISTING = sa.text("""
SELECT table_name FROM information_schema.tables
WHERE table_schema = coalesce(:schema, database()) AND table_name IN :names
""").bindparams(sa.bindparam("names", expanding=True))

_CURRENT = sa.text("SELECT database()")

_SERVER = sa.text("""
SELECT version() AS version, database() AS db, current_user() AS role, @@session.time_zone AS zone,
       @@system_time_zone AS system_zone, @@global.read_only AS read_only,
       concat(@@hostname, ':', @@port, ':', @@datadir) AS place
""")


def find(connection: sa.Connection, schema: str | None, name: str) -> Table | None:
    """Return the table of that name; the server itself compares the names."""
    row = connection.execute(_FIND, {"schema": schema, "name": name}).first()
    return None if row is None else _described(connection, [row])[0]


def find_all(connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
    """Return those of the tables that exist, by four statements for each schema."""
    if not names:
        return []
    current = str(connection.execute(_CURRENT).scalar())
    wanted = [(schema or current, name) for schema, name in names]
    found = {(row.s, row.n): row for row in rows_about(connection, _LISTED, wanted)}
    return _described(connection, [found[name] for name in wanted if name in found])


def existing(connection: sa.Connection, schema: str | None, names: Sequence[str]) -> frozenset[str]:
    """Return those of the names that a table has to which this account has any right."""
    found = connection.execute(_EXISTING, {"schema": schema, "names": list(names)}).scalars()
    return frozenset(found).intersection(names)  # the server's comparison ignores case


def _described(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Table]:
    if not rows:
        return []
    names = [(row.s, row.n) for row in rows]
    columns: dict[tuple[str, str], list[Column]] = {(row.s, row.n): [] for row in rows}
    for c in rows_about(connection, _COLUMNS, names):
        columns[c.s, c.n].append(Column(c.name, c.type, bool(c.nullable), bool(c.computed), default=c.preset))
    keys: dict[tuple[str, str], list[Key]] = {(row.s, row.n): [] for row in rows}
    parts_of = groupby(rows_about(connection, _KEYS, names), key=lambda part: (part.s, part.n, part.name))
    for (s, n, index), parts in parts_of:
        listed = list(parts)
        # An index on a prefix or an expression does not identify each row; neither does one with NULLs.
        if all(p.part is None and not p.nullable and p.col is not None for p in listed):
            keys[s, n].append(Key(tuple(p.col for p in listed), index == "PRIMARY"))
    current = connection.execute(_CURRENT).scalar()
    return [
        Table(
            schema=None if row.s == current else row.s,
            name=row.n,
            kind=_KINDS.get(row.kind, "view"),
            columns=tuple(columns[row.s, row.n]),
            keys=tuple(sorted(keys[row.s, row.n], key=lambda k: (not k.primary, len(k.columns)))),
            identity=f"{row.s}.{row.n}",
            rows=row.estimate,
            bytes=row.size,
        )
        for row in rows
    ]


def unlabelled(label: str) -> tuple[str | None, str]:
    """Return schema and name for a label, which leaves out the current database."""
    schema, dot, name = label.partition(".")
    return (schema, name) if dot else (None, label)


def tables(connection: sa.Connection) -> Sequence[str]:
    """Return the tables of the current database."""
    return list(connection.execute(_TABLES).scalars())


class MySQLCatalog:
    """Reads information_schema, as far as this account may see it."""

    product = "MySQL"
    table_ids = "innodb_tables"
    """The view of information_schema that has InnoDB's own table ids."""
    find = staticmethod(find)
    find_all = staticmethod(find_all)
    existing = staticmethod(existing)
    unlabelled = staticmethod(unlabelled)
    tables = staticmethod(tables)
    hides = staticmethod(hides)

    def server(self, connection: sa.Connection) -> Server:
        """Return the server, and the session's account and time zone."""
        row = connection.execute(_SERVER).one()
        return Server(
            product=self.product,
            version=row.version.split("-")[0],
            identity=f"mysql:{row.place}:{row.db}",
            role=row.role,
            zone=row.system_zone if row.zone == "SYSTEM" else row.zone,
            read_only=bool(row.read_only),
        )

    def table_identity(self, connection: sa.Connection, table: Table) -> TableIdentity:
        """Return InnoDB's table id, which needs the right PROCESS; TRUNCATE, OPTIMIZE and some ALTERs change it too."""
        query = sa.text(_TABLE_ID.format(view=self.table_ids))
        try:
            number = connection.execute(query, {"schema": table.schema, "name": table.name}).scalar()
        except sa.exc.DBAPIError as error:
            if faults.classify(error) is not Fault.DENIED:
                raise
            return TableIdentity()
        return TableIdentity(None if number is None else f"innodb {number}")
