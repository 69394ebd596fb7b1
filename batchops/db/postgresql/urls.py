"""PostgreSQL's URLs, which libpq reads: PG* variables, services, pgpass and several hosts work as they do in psql."""

from collections.abc import Mapping

import sqlalchemy as sa
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from batchops.db.url_parse import DriverUrl, Parts, host_and_port, port_number, refuse_unknown
from batchops.errors import UsageError

_KNOWN = frozenset(option.keyword.decode() for option in Conninfo.get_defaults()) | {"ssl"}
_UNPRINTED = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}


def read(parts: Parts, environ: Mapping[str, str]) -> DriverUrl:
    """Return the connection string that libpq gets, and the same as SQLAlchemy's URL."""
    refuse_unknown(parts.parameters, _KNOWN, "libpq")
    for host in parts.hosts.split(","):
        host_and_port(host)
    conninfo = parts.written("postgresql")
    try:
        options = conninfo_to_dict(conninfo)
    except ProgrammingError:
        # Not chained: libpq repeats the URL in its message.
        raise UsageError(
            "libpq cannot read the database URL.",
            "each % begins a %XX, each parameter is written name=value.",
        ) from None
    password = environ.get("PGPASSWORD", "")
    return DriverUrl(_url({name: str(value) for name, value in options.items()}), conninfo, (password,))


def _url(options: dict[str, str]) -> sa.URL:
    host, port = options.get("host", ""), options.get("port", "")
    several = "," in host or "," in port
    for one in port.split(","):
        port_number(one)
    if several and port and "," not in port:
        # For libpq one port counts for all hosts; SQLAlchemy needs one for each host.
        port = ",".join([port] * (host.count(",") + 1))
    by_parameter = several or host.startswith("/")
    rest = {name: value for name, value in options.items() if name not in {"host", "port", "user", "dbname"}}
    if by_parameter:
        rest |= {name: value for name, value in (("host", host), ("port", port)) if value}
    return sa.URL.create(
        "postgresql+psycopg",
        username=options.get("user"),
        password=options.get("password"),
        host=None if by_parameter else host or None,
        port=None if by_parameter else port_number(port),
        database=options.get("dbname"),
        query={name: value for name, value in rest.items() if name not in _UNPRINTED},
    )
