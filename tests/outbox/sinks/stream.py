"""A receiver that is a stream of Redis."""

import time
import uuid
from collections.abc import Sequence

import redis

from tests.outbox.sinks.received import Received


class Stream:
    """One stream under a name of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.topic = f"batchops:{uuid.uuid4().hex}"

    def everything(self) -> Sequence[Received]:
        return self.received(0)

    def received(self, count: int) -> Sequence[Received]:
        end = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while client.xlen(self.topic) < count and time.monotonic() < end:
                time.sleep(0.01)
            return [_received(fields) for _, fields in client.xrange(self.topic)]


def _received(fields: dict[bytes, bytes]) -> Received:
    told = {name.decode(): value for name, value in fields.items()}
    headers = {name.removeprefix("header:"): told[name].decode() for name in told if name.startswith("header:")}
    return Received(told["id"].decode(), told["key"].decode(), told["body"], headers)
