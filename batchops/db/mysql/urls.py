"""MySQL's and MariaDB's URLs; values that they leave out come from ~/.my.cnf, as for the mysql client."""

import os.path
from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa

from batchops.db.url_parse import DriverUrl, Parts, host_and_port, port_number, refuse_unknown
from batchops.errors import UsageError

_OPTION_FILE = frozenset({"read_default_file", "read_default_group"})
_TLS = frozenset({"ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher"})
_PASSED = _TLS | {"unix_socket", "charset", "collation", "connect_timeout", "bind_address", "program_name"}
_TLS_WORDS = frozenset({"ssl_mode", "ssl_disabled", "ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity"})
_KNOWN = _PASSED | _OPTION_FILE | _TLS_WORDS
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")
_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


def read(parts: Parts, environ: Mapping[str, str]) -> DriverUrl:
    """Return the URL, with user, password, host and socket from the option file where it leaves them out."""
    parameters = {name.replace("-", "_"): value for name, value in parts.parameters.items()}
    parameters |= {"unix_socket": parameters.pop("socket")} if "socket" in parameters else {}
    refuse_unknown(parameters, _KNOWN, "this driver")
    options = _options(parameters, environ)
    host, port = host_and_port(parts.hosts)
    if host is None:
        host, port = options.get("host"), port or port_number(options.get("port"))
    password = options.get("password") if parts.password is None else unquote(parts.password)
    query = _tls({name: options[name] for name in _TLS if name in options} | parameters)
    query |= {name: value for name, value in parameters.items() if name in _PASSED}
    query = _socket(host, port, options) | query
    url = sa.URL.create(
        "mysql+pymysql",
        username=unquote(parts.user) if parts.user else options.get("user"),
        password=password,
        host=host,
        port=port,
        database=unquote(parts.path) if parts.path else options.get("database"),
        # Otherwise a rogue server could request any file that this process can read.
        query=query | {"local_infile": "false"},
    )
    return DriverUrl(url, secrets=(password,) if password else ())


def _socket(host: str | None, port: int | None, options: Mapping[str, str]) -> dict[str, str]:
    """Return the socket that the mysql client would use: for localhost, if no port is named."""
    if host not in {None, "localhost"} or port is not None:
        return {}
    found = (path for path in _SOCKETS if os.path.exists(path))
    socket = options.get("socket") or next(found, None)
    return {"unix_socket": socket} if socket else {}


def _options(parameters: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the options of the option file's group, with underscores in place of dashes.

    The driver does not read the file, as it would use the file's socket even if the URL names another host.
    """
    home = environ.get("HOME")
    named = parameters.get("read_default_file") or (f"{home}/.my.cnf" if home else None)
    path = Path(named).expanduser() if named else None
    if path is None or not path.is_file():
        if "read_default_file" in parameters:
            raise UsageError(f"The option file {named} does not exist.")
        return {}
    parser = RawConfigParser(allow_no_value=True, strict=False, delimiters=("=",))
    try:
        lines = path.read_text(errors="replace").splitlines()
        parser.read_string("\n".join(line for line in lines if not line.lstrip().startswith("!")))
    except (ConfigError, OSError):
        # Not chained: the parser repeats lines of the file.
        raise UsageError(f"The option file {path} cannot be read.", "fix it, or make it readable.") from None
    group = parameters.get("read_default_group", "client")
    pairs = parser.items(group) if parser.has_section(group) else []
    return {name.replace("-", "_"): _unquoted(value) for name, value in pairs if value}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _tls(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the TLS parameters, in all their spellings, as those that SQLAlchemy passes on."""
    query = {name: value for name, value in parameters.items() if name in _TLS}
    mode = _mode(parameters)
    if mode.startswith("VERIFY") and not {"ssl_ca", "ssl_capath"} & query.keys():
        raise UsageError(
            "To verify the server, the database URL must name a certificate authority.", "add ssl_ca=FILE."
        )
    if mode == "DISABLED":
        return {"ssl_disabled": "true"}
    if mode in {"REQUIRED", "VERIFY_CA"}:
        query["ssl_check_hostname"] = "false"
    if mode == "VERIFY_IDENTITY":
        query["ssl_check_hostname"] = "true"
    return query


def _mode(parameters: Mapping[str, str]) -> str:
    if "ssl_mode" in parameters:
        mode = parameters["ssl_mode"].upper()
        if mode not in _MODES:
            raise UsageError("ssl_mode in the database URL has an unknown value.", f"{', '.join(_MODES)}.")
        return mode
    on = {name for name in _TLS_WORDS if parameters.get(name, "").lower() in {"1", "true", "yes", "on"}}
    if "ssl_disabled" in on:
        return "DISABLED"
    if {"ssl_verify_identity", "ssl_check_hostname"} & on:
        return "VERIFY_IDENTITY"
    if "ssl_verify_cert" in on:
        return "VERIFY_CA"
    return "VERIFY_CA" if "ssl_check_hostname" in parameters and "ssl_ca" in parameters else "PREFERRED"
