"""Rows as JSON, for handlers outside this process."""

from batchops.db.value_formats import as_json
from batchops.queue.handlers import Values


def line(row: Values) -> str:
    """A row as one line of JSON, each value exact."""
    return as_json(dict(row))
