"""A backend as a third party would write it: CockroachDB, which speaks PostgreSQL's protocol but lacks much of it.

It has no blocks and no ctid, no LISTEN, no row_security, no pg_control_system and no plans as JSON.
"""

import sqlalchemy as sa

from batchops.db.catalog import Server
from batchops.db.postgresql.backend import PostgreSQL
from batchops.db.postgresql.catalog import PostgreSQLCatalog
from batchops.db.postgresql.facts import PostgreSQLFacts
from batchops.db.postgresql.keys import PostgreSQLKeys
from batchops.db.postgresql.planner import PostgreSQLPlanner
from batchops.db.postgresql.sessions import PostgreSQLSessions
from batchops.db.registry import Registration
from batchops.db.table import Table, TableIdentity


class CockroachSessions(PostgreSQLSessions):
    settings = "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}"

    def accept_hidden_rows(self, _: sa.Connection) -> None:
        pass


class CockroachCatalog(PostgreSQLCatalog):
    def server(self, connection: sa.Connection) -> Server:  # type: ignore[override]  # a function there
        text = "SELECT version(), current_database(), current_user::text, current_setting('TimeZone')"
        version, name, role, zone = connection.execute(sa.text(text)).one()
        return Server("CockroachDB", version.split()[2], f"cockroachdb:{name}", role, zone, read_only=False)

    def table_identity(self, _: sa.Connection, table: Table) -> TableIdentity:  # type: ignore[override]
        return TableIdentity(f"oid {table.identity}")


class CockroachKeys(PostgreSQLKeys):
    def row_id(self, table: Table) -> None:
        """Return None: there is no ctid."""


class CockroachPlanner(PostgreSQLPlanner):
    def matches(self, *_: object) -> None:
        return None

    def work(self, *_: object) -> None:
        return None

    def meter(self, _: object) -> None:
        return None


class CockroachFacts(PostgreSQLFacts):
    def full_reads(self, *_: object) -> tuple[()]:
        return ()


class CockroachDB(PostgreSQL):
    catalog = CockroachCatalog()
    keys = CockroachKeys()
    planner = CockroachPlanner()
    facts = CockroachFacts()
    blocks = partitions = notifications = None

    def __init__(self) -> None:
        self.sessions = CockroachSessions()


REGISTRATION = Registration(
    "CockroachDB", backend=f"{__name__}:CockroachDB", dialect="postgres", schemes=("cockroachdb",),
    example="cockroachdb://", reader="batchops.db.postgresql.urls:read", driver="psycopg", install="psycopg[binary]",
    variant_of="PostgreSQL", version="CockroachDB",
)  # fmt: skip
