"""A client's bytes taken apart into the messages of its protocol, as far as finding a COMMIT needs."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
COM_QUERY = b"\x03"


@dataclass(frozen=True)
class Frame:
    """One message as it came, and the SQL that it makes the server execute, if any."""

    data: bytes
    sql: str = ""


def postgresql_frames(client: socket.socket) -> Iterator[Frame]:
    """Simple and extended protocol: a prepared statement's text counts where it is executed."""
    yield Frame(_startup(client))
    statements: dict[bytes, str] = {}
    portals: dict[bytes, str] = {}
    while True:
        head = _read(client, 5)
        body = _read(client, int.from_bytes(head[1:]) - 4)
        sql = ""
        match head[:1], body.split(b"\0"):
            case b"Q", [query, *_]:
                sql = query.decode(errors="replace")
            case b"P", [statement, query, *_]:
                statements[statement] = query.decode(errors="replace")
            case b"B", [portal, statement, *_]:
                portals[portal] = statements.get(statement, "")
            case b"E", [portal, *_]:
                sql = portals.get(portal, "")
        yield Frame(head + body, sql)


def _startup(client: socket.socket) -> bytes:
    """The first message proper; wishes for encryption before it are declined here."""
    while True:
        head = _read(client, 8)
        if int.from_bytes(head[4:]) not in (SSL_REQUEST, GSSENC_REQUEST):
            return head + _read(client, int.from_bytes(head[:4]) - 8)
        client.sendall(b"N")


def mysql_frames(client: socket.socket) -> Iterator[Frame]:
    """Commands begin a new sequence, so packets numbered 0; the rest is login and file contents."""
    while True:
        head = _read(client, 4)
        body = _read(client, int.from_bytes(head[:3], "little"))
        sql = body[1:].decode(errors="replace") if head[3] == 0 and body[:1] == COM_QUERY else ""
        yield Frame(head + body, sql)


def _read(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = client.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionError("the client has gone")
        data += part
    return bytes(data)
