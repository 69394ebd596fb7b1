"""A receiver that is a topic of Kafka's protocol, read without a consumer group."""

import time
import uuid
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.sinks.received import Received


class Topic:
    """One topic of that name."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.url = f"kafka://{bootstrap}"
        self.topic = topic
        self._bootstrap = bootstrap

    @staticmethod
    def new(bootstrap: str) -> "Topic":
        """Under a name of its own."""
        found = Topic(bootstrap, f"batchops-{uuid.uuid4().hex}")
        admin = AdminClient({"bootstrap.servers": bootstrap})  # its results come only as long as it is there
        admin.create_topics([NewTopic(found.topic, 1, 1)])[found.topic].result(10)
        return found

    def everything(self) -> Sequence[Received]:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "nobody"})
        partitions = consumer.list_topics(self.topic, 5).topics[self.topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(self.topic, number), 5) for number in partitions]
        consumer.close()
        return self.received(sum(high - low for low, high in ends))

    def received(self, count: int) -> Sequence[Received]:
        settings = {"bootstrap.servers": self._bootstrap, "group.id": "nobody", "enable.auto.commit": False}
        consumer, found, end = Consumer(settings), list[Received](), time.monotonic() + 90
        partitions = consumer.list_topics(self.topic, 5).topics[self.topic].partitions
        consumer.assign([TopicPartition(self.topic, number, 0) for number in partitions])
        try:
            while len(found) < count and time.monotonic() < end:
                record = consumer.poll(0.2)
                if record is not None and record.error() is None:
                    headers = {name: value.decode() for name, value in record.headers() or []}
                    found.append(Received(headers.pop("id"), record.key().decode(), record.value(), headers))
            extra = consumer.poll(0.3) if len(found) == count else None
            assert extra is None or extra.error() is not None, "more arrived than was asked for"
            return found
        finally:
            consumer.close()
