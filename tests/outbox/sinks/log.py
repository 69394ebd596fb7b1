"""A receiver that is a topic of Kafka's protocol, read without a consumer group."""

import time
import uuid
from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.outbox.sinks.received import Received


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
        return self._read(sum(high - low for low, high in ends), quiet=2.0)

    def received(self, count: int) -> Sequence[Received]:
        found = self._read(count, quiet=0.3)
        assert len(found) <= count, "more arrived than was asked for"
        return found

    def _read(self, count: int, quiet: float) -> list[Received]:
        """So many at least, and what comes until nothing has come for so many seconds."""
        settings = {"bootstrap.servers": self._bootstrap, "group.id": "nobody", "enable.auto.commit": False}
        consumer, found, end = Consumer(settings), list[Received](), time.monotonic() + 90
        partitions = consumer.list_topics(self.topic, 5).topics[self.topic].partitions
        consumer.assign([TopicPartition(self.topic, number, 0) for number in partitions])
        try:
            while time.monotonic() < end:
                record = consumer.poll(quiet)
                if record is None and len(found) >= count:
                    break
                if record is not None and record.error() is None:
                    headers = {name: value.decode() for name, value in record.headers() or []}
                    found.append(Received(headers.pop("id"), record.key().decode(), record.value(), headers))
            return found
        finally:
            consumer.close()
