"""A destination's own client, alone: `python -m tests.benchmarks.relay_clients NAME URL TOPIC EVENTS` prints events/s.

Each as fast as it goes in batches with every acknowledgement looked at: what a relay can be measured by.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from confluent_kafka import Producer

Headers = list[tuple[str, str | bytes | None]]
BODY = b"0123456789abcdef" * 32
AGGREGATES = 1_000
BATCH = 5_000
WINDOW = 1_000
"""Of RabbitMQ: messages under way."""
READ = """
SELECT id, aggregate_id, event_type, aggregate_type, payload FROM outbox
WHERE sent_at IS NULL ORDER BY id LIMIT %s
"""
MARK = "UPDATE outbox SET sent_at = statement_timestamp() WHERE sent_at IS NULL AND id = ANY (%s::bigint[])"


def keys(events: int) -> Iterator[tuple[str, str]]:
    """Id and key of each event."""
    return ((str(number), str(number % AGGREGATES)) for number in range(1, events + 1))


def raised(error: object, _: object) -> None:
    """Of a record that was not acknowledged."""
    assert error is None, error


def producer_of(url: str, topic: str) -> "Producer":
    """Idempotent, acknowledged by all; connected."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": url.partition("://")[2], "acks": "all", "enable.idempotence": True,
                         "linger.ms": 5, "queue.buffering.max.messages": 2 * BATCH,
                         "delivery.report.only.error": True})  # fmt: skip
    producer.list_topics(topic, timeout=10)
    return producer


def kafka(url: str, topic: str, events: int) -> float:
    """A flush per batch."""
    producer = producer_of(url, topic)
    started = time.perf_counter()
    for number, (id_, key) in enumerate(keys(events), 1):
        headers: Headers = [("id", id_), ("event_type", "Paid"), ("aggregate_type", "order")]
        producer.produce(topic, BODY, key, headers=headers, on_delivery=raised)
        if number % BATCH == 0:
            assert producer.flush(60) == 0
    assert producer.flush(60) == 0
    return events / (time.perf_counter() - started)


def redis(url: str, topic: str, events: int) -> float:
    """Pipelines of XADD, a batch each."""
    import redis

    with redis.Redis.from_url(url) as client:
        client.ping()
        started = time.perf_counter()
        pipe = client.pipeline(transaction=False)
        for number, (id_, key) in enumerate(keys(events), 1):
            fields: dict[Any, Any] = {
                "id": id_, "key": key, "header:event_type": "Paid", "header:aggregate_type": "order", "body": BODY
            }  # fmt: skip
            pipe.xadd(topic, fields)
            if number % BATCH == 0:
                pipe.execute()
        pipe.execute()
        return events / (time.perf_counter() - started)


def rabbitmq(url: str, topic: str, events: int) -> float:
    """A connection with callbacks: persistent, mandatory, confirmed, so many under way."""
    import pika

    sending, confirmed, times = keys(events), 0, list[float]()

    def publish(channel: Any, most: int) -> None:
        for _, (id_, key) in zip(range(most), sending, strict=False):
            headers = {"event_type": "Paid", "aggregate_type": "order", "key": key}
            properties = pika.BasicProperties(message_id=id_, delivery_mode=2, headers=headers)
            channel.basic_publish("", topic, BODY, properties, mandatory=True)

    def opened(channel: Any) -> None:
        def answered(frame: Any) -> None:
            nonlocal confirmed
            assert frame.method.NAME == "Basic.Ack"
            done = frame.method.delivery_tag - confirmed if frame.method.multiple else 1
            confirmed += done
            publish(channel, done)
            if confirmed == events:
                times.append(time.perf_counter())
                connection.close()

        def ready(_: Any) -> None:
            times.append(time.perf_counter())
            publish(channel, WINDOW)

        channel.confirm_delivery(answered, callback=ready)

    connection = pika.SelectConnection(
        pika.URLParameters(url), on_open_callback=lambda made: made.channel(on_open_callback=opened),
        on_close_callback=lambda *_: connection.ioloop.stop(),
    )  # fmt: skip
    connection.ioloop.start()
    return events / (times[1] - times[0])


def kafka_by_hand(url: str, topic: str, events: int, database: str) -> float:
    """What a relay cannot do without, by the shortest loop: read in order, produce, flush, mark. No order is kept
    behind a failure, no late commit is looked for, two of it would send everything twice."""
    import psycopg

    producer = producer_of(url, topic)
    with psycopg.connect(database, autocommit=True) as connection:
        started, sent = time.perf_counter(), 0
        while rows := connection.execute(READ, [BATCH]).fetchall():
            for id_, key, kind, aggregate, body in rows:
                headers: Headers = [("id", str(id_)), ("event_type", kind), ("aggregate_type", aggregate)]
                producer.produce(topic, body.encode(), key, headers=headers, on_delivery=raised)
            assert producer.flush(60) == 0
            connection.execute(MARK, [f"{{{','.join(str(row[0]) for row in rows)}}}"])
            sent += len(rows)
        assert sent == events
        return events / (time.perf_counter() - started)


def redis_by_hand(url: str, topic: str, events: int, database: str) -> float:
    """The same for Redis: a pipeline a batch."""
    import psycopg
    import redis

    with redis.Redis.from_url(url) as client, psycopg.connect(database, autocommit=True) as connection:
        client.ping()
        started, sent = time.perf_counter(), 0
        while rows := connection.execute(READ, [BATCH]).fetchall():
            pipe = client.pipeline(transaction=False)
            for id_, key, kind, aggregate, body in rows:
                fields: dict[Any, Any] = {
                    "id": id_, "key": key, "header:event_type": kind, "header:aggregate_type": aggregate, "body": body
                }  # fmt: skip
                pipe.xadd(topic, fields)
            pipe.execute()
            connection.execute(MARK, [f"{{{','.join(str(row[0]) for row in rows)}}}"])
            sent += len(rows)
        assert sent == events
        return events / (time.perf_counter() - started)


def rabbitmq_by_hand(url: str, topic: str, events: int, database: str) -> float:
    """The same for RabbitMQ: a batch is marked, and the next one read, once all of it is confirmed."""
    import pika
    import psycopg

    rows: list[tuple[Any, ...]] = []
    waiting, open_, sent, times = iter(rows), 0, 0, list[float]()

    def publish(channel: Any, most: int) -> None:
        nonlocal open_
        for _, (id_, key, kind, aggregate, body) in zip(range(most), waiting, strict=False):
            headers = {"event_type": kind, "aggregate_type": aggregate, "key": key}
            properties = pika.BasicProperties(message_id=str(id_), delivery_mode=2, headers=headers)
            channel.basic_publish("", topic, body.encode(), properties, mandatory=True)
            open_ += 1

    def next_batch(channel: Any) -> None:
        nonlocal rows, waiting, sent
        if rows:
            connection.execute(MARK, [f"{{{','.join(str(row[0]) for row in rows)}}}"])
            sent += len(rows)
        rows = connection.execute(READ, [BATCH]).fetchall()
        waiting = iter(rows)
        publish(channel, WINDOW)
        if not rows:
            times.append(time.perf_counter())
            broker.close()

    def opened(channel: Any) -> None:
        confirmed = 0

        def answered(frame: Any) -> None:
            nonlocal confirmed, open_
            assert frame.method.NAME == "Basic.Ack"
            done = frame.method.delivery_tag - confirmed if frame.method.multiple else 1
            confirmed, open_ = confirmed + done, open_ - done
            publish(channel, done)
            if not open_:
                next_batch(channel)

        def ready(_: Any) -> None:
            times.append(time.perf_counter())
            next_batch(channel)

        channel.confirm_delivery(answered, callback=ready)

    with psycopg.connect(database, autocommit=True) as connection:
        broker = pika.SelectConnection(
            pika.URLParameters(url), on_open_callback=lambda made: made.channel(on_open_callback=opened),
            on_close_callback=lambda *_: broker.ioloop.stop(),
        )  # fmt: skip
        broker.ioloop.start()
    assert sent == events
    return events / (times[1] - times[0])


CLIENTS: dict[str, Callable[..., float]] = {
    "kafka": kafka, "redis": redis, "rabbitmq": rabbitmq, "kafka_by_hand": kafka_by_hand,
    "redis_by_hand": redis_by_hand, "rabbitmq_by_hand": rabbitmq_by_hand,
}  # fmt: skip


if __name__ == "__main__":
    name, url, topic, events, *more = sys.argv[1:]
    print(CLIENTS[name](url, topic, int(events), *more))
