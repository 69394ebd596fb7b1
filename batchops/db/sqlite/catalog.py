"""What SQLite's pragmas say about a file and its tables. Names go in as bound values only."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa

from batchops.db.catalog import Server
from batchops.db.sqlite.writable import obstacle, unreadable
from batchops.db.table import Column, Key, Table, TableIdentity
from batchops.errors import RefusedError

_FIND = sa.text("""
SELECT schema, name, type, wr FROM pragma_table_list
WHERE name = :name COLLATE NOCASE AND schema = coalesce(:schema, 'main') AND type IN ('table', 'view', 'virtual')
""")
_EXISTING = sa.text(
    "SELECT name FROM pragma_table_list WHERE name IN :names AND schema IN (coalesce(:schema, 'main'), 'temp')"
).bindparams(sa.bindparam("names", expanding=True))
_COLUMNS = sa.text(
    'SELECT name, type, "notnull" AS filled, pk, hidden, nullif(dflt_value, :null) AS preset '
    "FROM pragma_table_xinfo(:name, :schema) ORDER BY cid"
)
_UNIQUE = sa.text("""
SELECT name FROM pragma_index_list(:name, :schema) WHERE "unique" AND NOT partial AND origin <> 'pk'
""")
_PARTS = sa.text("SELECT name, coll FROM pragma_index_xinfo(:index, :schema) WHERE key ORDER BY seqno")
_TRIGGERS = sa.text(
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE "
    "AND sql LIKE '%ignore%')"
)
_STAT = sa.text("SELECT stat FROM sqlite_stat1 WHERE tbl = :name ORDER BY idx IS NOT NULL LIMIT 1")
_TABLES = sa.text("SELECT name FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")


def server(connection: sa.Connection) -> Server:
    """Return the library's version and the file; SQLite's time functions are in UTC."""
    url = connection.engine.url
    file = Path(unquote((url.database or "").removeprefix("file:")))
    unwritable = obstacle(file, url.query)
    if unwritable is not None and unreadable(file):
        raise RefusedError(*unwritable)
    version = connection.execute(sa.text("SELECT sqlite_version()")).scalar_one()
    path = connection.execute(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar_one()
    return Server(
        product="SQLite",
        version=version,
        identity=f"sqlite:{Path(path).resolve() if path else 'memory'}",
        role="",
        zone="UTC",
        read_only=unwritable is not None,
        unwritable=unwritable or ("", ""),
    )


def find(connection: sa.Connection, schema: str | None, name: str) -> Table | None:
    """Return the table of that name; like SQLite itself, this ignores case."""
    row = connection.execute(_FIND, {"schema": schema, "name": name}).first()
    if row is None:
        return None
    where = {"schema": row.schema, "name": row.name}
    described = connection.execute(_COLUMNS, where | {"null": "NULL"}).all()
    primary = [c for c in described if c.pk]
    rowid_alias = len(primary) == 1 and primary[0].type.upper() == "INTEGER" and not row.wr
    filled = bool(row.wr) or rowid_alias  # any other primary key may hold NULLs
    columns = tuple(
        Column(c.name, c.type, not c.filled and not (filled and c.pk), c.hidden in (2, 3), default=c.preset)
        for c in described
    )
    return Table(
        schema=None if row.schema == "main" else row.schema,
        name=row.name,
        kind="table" if row.type == "table" else row.type,
        columns=columns,
        keys=_keys(connection, where, columns, primary, bool(row.wr)),
        identity=f"{row.schema}.{row.name}",
        rows=_rows(connection, row.name),
        may_veto=bool(connection.execute(_TRIGGERS, where).scalar_one()),
        primary=tuple(c.name for c in sorted(primary, key=lambda c: c.pk)),
    )


def _keys(
    connection: sa.Connection,
    where: dict[str, str],
    columns: tuple[Column, ...],
    primary: Sequence[sa.Row[tuple[object, ...]]],
    without_rowid: bool,
) -> tuple[Key, ...]:
    """Return the primary key if it cannot hold NULLs (SQLite allows them), unique indexes without NULLs, the rowid."""
    names = tuple(c.name for c in sorted(primary, key=lambda c: c.pk))
    nullable = {c.name for c in columns if c.nullable}
    keys = []
    if names and not nullable.intersection(names):
        keys.append(Key(names, primary=True))
    for index in connection.execute(_UNIQUE, where).scalars().all():
        parts = connection.execute(_PARTS, {"index": index, "schema": where["schema"]}).scalars().all()
        if None not in parts and not nullable.intersection(parts):
            keys.append(Key(tuple(parts), primary=False))
    hidden = next((n for n in ("rowid", "_rowid_", "oid") if n not in {c.name.lower() for c in columns}), None)
    if not without_rowid and hidden is not None:
        keys.append(Key((hidden,), primary=False))
    return tuple(keys)


def _rows(connection: sa.Connection, name: str) -> int | None:
    """Return the number of rows that the last ANALYZE counted; None without one."""
    if connection.execute(sa.text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'")).first() is None:
        return None
    stat = connection.execute(_STAT, {"name": name}).scalar()
    return int(stat.split()[0]) if stat else None


def table_identity(connection: sa.Connection, table: Table) -> TableIdentity:  # noqa: ARG001  the same for all
    """Return no identity: a table's root page changes by itself, and another table may get it."""
    return TableIdentity()


def unlabelled(label: str) -> tuple[str | None, str]:
    """Return the name for a label, which leaves out "main"; a file has no other schema."""
    return None, label


def tables(connection: sa.Connection) -> Sequence[str]:
    """Return the tables of the file."""
    return list(connection.execute(_TABLES).scalars())


class SQLiteCatalog:
    """Reads the pragmas; every user of a file sees all its tables."""

    server = staticmethod(server)
    find = staticmethod(find)
    table_identity = staticmethod(table_identity)
    unlabelled = staticmethod(unlabelled)
    tables = staticmethod(tables)

    def find_all(self, connection: sa.Connection, names: Sequence[tuple[str | None, str]]) -> list[Table]:
        found = (find(connection, schema, name) for schema, name in names)
        return [table for table in found if table is not None]

    def existing(self, connection: sa.Connection, schema: str | None, names: Sequence[str]) -> frozenset[str]:
        return frozenset(connection.execute(_EXISTING, {"schema": schema, "names": list(names)}).scalars())

    def hides(self, *_: object) -> bool:
        return False
