"""The SQL that makes an outbox, and the tables for its relays, their shards, and its refused events.

These tables keep no version: a change to one gives TableSetup a part and migrations, as the ledger's runs have them.
"""

from collections.abc import Iterator
from contextlib import suppress

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.table import quoted
from batchops.db.types import KEY_TEXT, LONG_TEXT
from batchops.errors import NotFoundError, RefusedError
from batchops.ledger.table_setup import TableSetup

WRITER_LOCKS = "batchops_writer_lock"
OLD_WRITER_LOCKS = "batchops_turn"
"""The name of that table in an earlier version."""


class OutboxTables:
    """The tables in one schema; without a name, in the database's default schema."""

    def __init__(self, database: Database, schema: str | None) -> None:
        self._database = database
        self._meta = sa.MetaData(schema=schema)
        self.relays = sa.Table(
            "batchops_relay", self._meta,
            sa.Column("relation", KEY_TEXT, primary_key=True),
            sa.Column("relay", sa.String(32), primary_key=True),
            sa.Column("stays", sa.Integer, nullable=False),
            sa.Column("shards", sa.Integer, nullable=False),
            sa.Column("owner", sa.Text, nullable=False),
            sa.Column("since", sa.Double, nullable=False),
            sa.Column("lease_until", sa.Double, nullable=False),
        )  # fmt: skip
        self.shards = sa.Table(
            "batchops_shard", self._meta,
            sa.Column("relation", KEY_TEXT, primary_key=True),
            sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("relay", sa.String(32)),
        )  # fmt: skip
        self.failed = sa.Table(
            "batchops_failed", self._meta,
            sa.Column("relation", KEY_TEXT, primary_key=True),
            sa.Column("event", KEY_TEXT, primary_key=True),
            sa.Column("aggregate", LONG_TEXT, nullable=False),
            sa.Column("state", sa.String(10), nullable=False),
            sa.Column("attempts", sa.Integer, nullable=False),
            sa.Column("next_at", sa.Double, nullable=False),
            sa.Column("failure", LONG_TEXT, nullable=False),
        )  # fmt: skip

        self._making = TableSetup(
            database, self._meta, what="the tables beside the outbox",
            elsewhere="name a schema of yours with --ledger-schema",
        )  # fmt: skip

    def ddl(self) -> list[str]:
        """Return the statements that make missing tables."""
        return self._making.ddl()

    def obstacle(self, role: str) -> RefusedError | None:
        """Return why this role cannot use the tables; None if it can."""
        return self._making.obstacle(role)

    def make(self) -> None:
        """Make missing tables; raise RefusedError with the SQL if this role may not make them."""
        self._making.make()

    def there(self, connection: sa.Connection) -> bool:
        """Whether all of the tables exist."""
        inspector = sa.inspect(connection)
        return all(inspector.has_table(table.name, schema=table.schema) for table in self._meta.sorted_tables)


def writer_locks_ddl(connection: sa.Connection, database: Database) -> Iterator[str]:
    """Yield the statements that make and fill the table of writer locks, on databases where `save` locks its rows."""
    rows, find = database.backend.events.lock_rows, database.backend.catalog.find
    if not rows:
        return
    if find(connection, None, WRITER_LOCKS) is None and find(connection, None, OLD_WRITER_LOCKS) is not None:
        # In one statement: from then on a writer of the earlier version fails, instead of locking other rows.
        yield f"ALTER TABLE {OLD_WRITER_LOCKS} RENAME COLUMN turn TO number, RENAME TO {WRITER_LOCKS}"
        return
    yield f"CREATE TABLE IF NOT EXISTS {WRITER_LOCKS} (number integer NOT NULL PRIMARY KEY)"
    yield f"INSERT IGNORE INTO {WRITER_LOCKS} (number) VALUES {', '.join(f'({number})' for number in range(rows))}"


PAYLOADS = ("text", "binary", "json")
"""The kinds of content that a payload column may hold."""


def outbox_ddl(connection: sa.Connection, database: Database, name: str, payload: str) -> Iterator[str]:
    """Yield the statements that make the outbox and its index; none if the table exists. `name` may have a schema."""
    with suppress(NotFoundError):
        find_table(connection, database.backend, name)
        return
    types = database.backend.events.types
    prepare = database.engine.dialect.identifier_preparer
    schema, _, plain = name.rpartition(".")
    table = sa.table(quoted(plain), schema=quoted(schema) if schema else None)
    columns = {
        "id": types["id"], "aggregate_type": types["name"], "aggregate_id": types["name"],
        "event_type": types["name"], "payload": types[payload], "headers": types["text"],
        "created_at": types["created"], "sent_at": types["sent"],
    }  # fmt: skip
    lines = [f"  {prepare.quote(column)} {type_}" for column, type_ in columns.items()]
    called = prepare.format_table(table)
    inside = ",\n".join(lines)
    yield f"CREATE TABLE {called} (\n{inside}\n)"
    unsent = database.backend.events.unsent_index.format(id="id", sent="sent_at")
    yield f"CREATE INDEX {prepare.quote(quoted(f'{plain}_unsent'))} ON {called} {unsent}"
