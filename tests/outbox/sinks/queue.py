"""A receiver that is a queue of RabbitMQ."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from tests.outbox.sinks.received import Received
from tests.services import rabbitmq


class Queue:
    """One queue under a name of its own; `arguments` are the queue's."""

    def __init__(self, url: str, *, durable: bool = True, **arguments: Any) -> None:
        self.url = url
        self.topic = f"batchops.{uuid.uuid4().hex}"
        with rabbitmq.connect(url) as connection:
            named = {name.replace("_", "-"): value for name, value in arguments.items()}
            connection.channel().queue_declare(self.topic, durable=durable, arguments=named)

    def everything(self) -> Sequence[Received]:
        with rabbitmq.connect(self.url) as connection:
            told = connection.channel().queue_declare(self.topic, passive=True)
        return self.received(told.method.message_count)

    def received(self, count: int) -> Sequence[Received]:
        found, end = list[Received](), time.monotonic() + 90
        with rabbitmq.connect(self.url) as connection:
            channel = connection.channel()
            while len(found) < count and time.monotonic() < end:
                method, properties, body = channel.basic_get(self.topic, auto_ack=True)
                if method is None:
                    time.sleep(0.02)
                    continue
                headers = dict(properties.headers)
                assert properties.delivery_mode == 2
                found.append(Received(properties.message_id, headers.pop("key"), body, headers))
        return found
