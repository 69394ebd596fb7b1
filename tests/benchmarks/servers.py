"""The tests' private servers, with fsync turned on again: without it a COMMIT is too cheap."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services import mariadb as mariadb_service
from tests.services import postgres as postgres_service
from tests.services.private import Private

POSTGRESQL = (
    "--fsync=on",
    "--full_page_writes=on",
    "--wal_level=replica",
    "--shared_buffers=512MB",
    "--max_wal_size=4GB",
    # Old segments are kept for reuse: the first side would pay for making new ones.
    "--min_wal_size=4GB",
)
MARIADB = (
    "--innodb-flush-method=O_DIRECT",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=1G",
)


@contextmanager
def postgresql(given: str | None) -> Iterator[str]:
    """The URL of `given`, else of a private PostgreSQL that lives as long as the block."""
    if given:
        yield given
        return
    with _tuned(postgres_service.private(on_disk=True), POSTGRESQL) as server:
        yield server.url


@contextmanager
def mariadb(given: str | None) -> Iterator[str]:
    """The URL of `given`, else of a private MariaDB that lives as long as the block."""
    if given:
        yield given
        return
    with _tuned(mariadb_service.private(on_disk=True), MARIADB) as server:
        yield server.url


def _tuned(server: Private, settings: tuple[str, ...]) -> Private:
    """Of a setting that is given twice, both servers take the last."""
    server.argv = [*server.argv, *settings]
    return server
