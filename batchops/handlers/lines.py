"""Rows as JSON, for handlers outside this process."""

from batchops.db.wire import as_json
from batchops.handlers import Values


def line(row: Values) -> str:
    """A row as one line of JSON, each value exact."""
    return as_json(dict(row))
