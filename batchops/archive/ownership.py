"""The owner of a destination: one database, whose archive is written from one host."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from batchops.archive.destination import Destination
from batchops.archive.layout import MARKER
from batchops.archive.records import FIRST, dumped, loaded
from batchops.errors import IntegrityError, NotFoundError, RefusedError

_HOST_ID = "/etc/machine-id"
_ADDRESS = re.compile(r"(.*) \((\[[^]]*\]|[^:,()]*)(:\d+)?\)")
_LOOPBACK = ("localhost", "[::1]")
_USUAL = (":5432", ":3306")
"""The default ports of PostgreSQL and MariaDB. No server is both."""


@dataclass(frozen=True)
class DestinationOwner:
    """The owning database, by the id of its ledger, and the host that writes the archive."""

    database_id: str
    host: str
    database: str = ""
    """The address of the database."""
    server: str = ""
    """Where the server itself says that its data is: this differs for a copy that was restored elsewhere."""


def this_host() -> str:
    """Return the name of this host, and the id of its installation if it has one."""
    try:
        installation = Path(_HOST_ID).read_text().strip()
    except OSError:
        installation = ""
    return f"{socket.gethostname()} {installation}".strip()


def claim(destination: Destination, owner: DestinationOwner) -> None:
    """Mark an empty destination as the owner's; raise RefusedError if it has another owner or holds other files."""
    found = owner_of(destination)
    if found is None:
        if destination.names():
            raise RefusedError(
                f"{destination.shown} is not empty, and no archive of batchops.", "name an empty folder, or a new one."
            )
        document = {
            "version": FIRST,
            "database_id": owner.database_id,
            "host": owner.host,
            "database": owner.database,
            "server": owner.server,
        }
        destination.create(MARKER, dumped(document))
        found = owner_of(destination)
    check(destination, owner, found)


def check(destination: Destination, owner: DestinationOwner, found: DestinationOwner | None) -> None:
    """Raise RefusedError if `found`, the owner by the destination's marker, is another; None: it has no owner yet."""
    if found is None:
        return
    if found.database_id != owner.database_id:
        raise RefusedError(
            f"{destination.shown} holds the archive of another database ({found.database}).",
            "give each database a destination of its own.",
        )
    place, mine = (found.server, _place(found.database)), (owner.server, _place(owner.database))
    if all(place) and all(mine) and place != mine:
        raise RefusedError(
            f"{destination.shown} belongs to the database at {found.database}, not to the one at {owner.database}: a "
            "restored copy of a database must not write to the archive of the original.",
            f"name another destination; if the database itself has moved, remove database and server from {MARKER}.",
        )
    if found.host != owner.host:
        raise RefusedError(
            f"{destination.shown} belongs to this database on the host {found.host}, not on {owner.host}: a restored "
            "copy of a database must not write to the archive of the original.",
            f"name another destination; if the archive itself has moved here, correct the host in {MARKER}.",
        )


def _place(database: str) -> str:
    """Return a database's address in one form for all names of this host, and without a default port."""
    found = _ADDRESS.fullmatch(database)
    if found is None:
        return database
    name, host, port = found.groups()
    host = "localhost" if host in (*_LOOPBACK, socket.gethostname()) or host.startswith("127.") else host
    return f"{name} ({host}{'' if port in _USUAL else port or ''})"


def owner_of(destination: Destination) -> DestinationOwner | None:
    """Return the owner by the destination's marker; None if it has no marker."""
    try:
        data = destination.read(MARKER)
    except NotFoundError:
        return None
    try:
        document = loaded(data)
        place = document.get("database", ""), document.get("server", "")
        return DestinationOwner(document["database_id"], document["host"], *place)
    except (ValueError, KeyError) as error:
        raise IntegrityError(f"{MARKER} of {destination.shown} is damaged: {error}") from error
