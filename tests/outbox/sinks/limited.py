"""A way to a Kafka broker that refuses what the broker behind it would take: records too large for a topic, say."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from tests.outbox.sinks.wire import Wire

PRODUCE = 0
FLEXIBLE = 9
"""The version of produce requests from which on lengths are varints and structures end in tags."""
MESSAGE_TOO_LARGE, INVALID_RECORD = 10, 87
Judge = Callable[[bytes], int]
"""The error's number for the records of a request, 0 where the broker is to have them."""


class Limited(Wire):
    """A wire that passes everything on but produce requests that `judge` refuses: it answers those as a broker does."""

    def __init__(self) -> None:
        super().__init__("", 0)  # the broker is there only once it knows the way: `target` is set then
        self.judge: Judge = lambda _: 0
        self.refused = 0
        self.passed = 0

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        """Answers of our own may overtake the broker's: the client takes them by their number."""
        with suppress(OSError), client.makefile("rb") as requests:
            while size := requests.read(4):
                frame = requests.read(struct.unpack(">i", size)[0])
                request = _produce(frame) if frame[:2] == b"\0\0" else None
                error = self.judge(request.records) if request else 0
                if request and error:
                    self.refused += 1
                    answer = request.answered(error)
                    client.sendall(struct.pack(">i", len(answer)) + answer)
                else:
                    self.passed += request is not None
                    server.sendall(size + frame)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


class Produce(NamedTuple):
    """A request for one partition of one topic: this client makes no others."""

    version: int
    number: bytes
    topic: bytes
    partition: bytes
    records: bytes

    def answered(self, error: int) -> bytes:
        """The broker's answer to it; the layout is the protocol's own, of its version."""
        flexible = self.version >= FLEXIBLE
        one = b"\2" if flexible else struct.pack(">i", 1)
        name = bytes([len(self.topic) + 1]) if flexible else struct.pack(">h", len(self.topic))
        tags = b"\0" if flexible else b""
        answer = self.number + tags + one + name + self.topic + one + self.partition
        answer += struct.pack(">hqq", error, -1, -1)
        if self.version >= 5:
            answer += struct.pack(">q", -1)  # the log's start
        if self.version >= 8:
            answer += b"\1\0" if flexible else struct.pack(">ih", 0, -1)  # no errors by record, no words
        return answer + tags + tags + struct.pack(">i", 0) + tags


def _produce(frame: bytes) -> Produce:
    version, number, rest = struct.unpack(">h", frame[2:4])[0], frame[4:8], _Rest(frame[8:], False)
    rest.string()  # the client's name
    rest.flexible = version >= FLEXIBLE
    rest.tags()
    rest.string()  # the transaction
    rest.take(6)  # acks, timeout
    topics, topic, partitions = rest.length(), rest.string(), rest.length()
    assert (topics, partitions) == (1, 1), "a request for more than one partition"
    return Produce(version, number, topic, rest.take(4), rest.take(rest.length()))


class _Rest:
    """What is still to be read of a frame."""

    def __init__(self, data: bytes, flexible: bool) -> None:
        self._data = data
        self._at = 0
        self.flexible = flexible

    def take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def length(self) -> int:
        if self.flexible:
            return self._varint() - 1
        found: int = struct.unpack(">i", self.take(4))[0]
        return found

    def string(self) -> bytes:
        length = self._varint() - 1 if self.flexible else struct.unpack(">h", self.take(2))[0]
        return self.take(max(length, 0))

    def tags(self) -> None:
        if self.flexible:
            assert self._varint() == 0, "tags, of which none are known"

    def _varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
