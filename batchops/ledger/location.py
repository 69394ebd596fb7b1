"""open_ledger(): opens the ledger in the target database, in another one, in a file, or in a temporary file."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from batchops.db.database import Database, connect
from batchops.db.url_references import is_reference
from batchops.db.urls import DatabaseAddress, address, file_address
from batchops.ledger.ledger import Ledger

NONE = "none"


@contextmanager
def open_ledger(
    where: str | None, schema: str | None, target: Database, environ: Mapping[str, str], workers: int = 1
) -> Iterator[Ledger]:
    """Yield the ledger that `--ledger` names; "none" is a temporary file that is removed at the end."""
    if where is None:
        yield Ledger(target, schema, inside=True)
        return
    with ledger_elsewhere(where, schema, environ, workers) as ledger:
        target.others.append(ledger.database)
        yield ledger


@contextmanager
def ledger_elsewhere(
    where: str, schema: str | None, environ: Mapping[str, str], workers: int = 1
) -> Iterator[Ledger]:  # fmt: skip
    """Yield a ledger outside the target database; each of the workers writes to it."""
    with tempfile.TemporaryDirectory(prefix="batchops-") as folder:
        lasting = str(Path(folder) / "ledger.db") if where == NONE else where
        with closing(connect(ledger_address(lasting, environ), workers=workers)) as database:
            yield Ledger(database, schema, inside=False)


def ledger_address(where: str, environ: Mapping[str, str]) -> DatabaseAddress:
    """Return the address of a ledger: a URL, or a file, which is created if it does not exist."""
    if "://" in where or is_reference(where):
        return address(where, environ)
    return file_address(where)
