"""The SQL that makes an outbox, and what stands beside it."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.table import quoted

PAYLOADS = ("text", "binary", "json")
"""What a payload's column may hold."""


def outbox_ddl(database: Database, name: str, payload: str) -> Iterator[str]:
    """The table and its index; `name` with its schema, if it has one."""
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
