"""A receiver that is a JetStream stream."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

import nats
from nats.errors import TimeoutError as NatsTimeoutError

from tests.outbox.sinks.received import Received


class Subject:
    """One stream with one subject, under a name of its own; `more` is the stream's own settings."""

    def __init__(self, url: str, **more: Any) -> None:
        self.url = url
        self.stream = f"s{uuid.uuid4().hex}"
        self.topic = f"{self.stream}.events"
        asyncio.run(self._make(more))

    async def _make(self, more: dict[str, Any]) -> None:
        client = await nats.connect(self.url)
        await client.jetstream().add_stream(name=self.stream, subjects=[f"{self.stream}.>"], **more)
        await client.close()

    def stored(self) -> int:
        """How many messages the stream holds."""
        return asyncio.run(self._stored())

    async def _stored(self) -> int:
        client = await nats.connect(self.url)
        info = await client.jetstream().stream_info(self.stream)
        await client.close()
        return info.state.messages

    def everything(self) -> Sequence[Received]:
        return self.received(self.stored())

    def received(self, count: int) -> Sequence[Received]:
        return asyncio.run(self._received(count))

    async def _received(self, count: int) -> Sequence[Received]:
        client = await nats.connect(self.url)
        consumer = await client.jetstream().pull_subscribe(self.topic, stream=self.stream)
        found, end = list[Received](), time.monotonic() + 60
        while len(found) < count and time.monotonic() < end:
            try:
                for message in await consumer.fetch(min(1_000, count - len(found)), timeout=0.5):
                    await message.ack()  # without it the server gives a thousand, and then those again
                    found.append(_received(message))
            except (NatsTimeoutError, TimeoutError):
                continue
        await client.close()
        return found


def _received(message: Any) -> Received:
    headers = dict(message.headers)
    return Received(headers.pop("Nats-Msg-Id"), headers.pop("key"), message.data, headers)
