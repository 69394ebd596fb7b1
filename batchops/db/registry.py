"""From an address to a database: the only place that knows which families there are."""

from importlib import import_module

from batchops.db.backend import Backend, Timeouts
from batchops.db.database import Database
from batchops.db.urls import DatabaseAddress

_BACKENDS = {
    "postgresql": "batchops.db.postgresql.backend:PostgreSQL",
    "mysql": "batchops.db.mysql.backend:MySQL",
    "sqlite": "batchops.db.sqlite.backend:SQLite",
}


def backend_of(address: DatabaseAddress) -> Backend:
    """The family that speaks for this address; its module, and so its driver, is imported only now."""
    module, _, name = _BACKENDS[address.url.get_backend_name()].partition(":")
    backend: Backend = getattr(import_module(module), name)()
    return backend


def connect(address: DatabaseAddress, timeouts: Timeouts | None = None, workers: int = 1) -> Database:
    """The database at that address, for so many workers. Connections open when they are first needed."""
    return Database(address, backend_of(address), timeouts, workers)
