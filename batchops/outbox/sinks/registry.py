"""From the address that --to names to the sink; its module, and so its client, is imported only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from batchops.db.url_references import fetch
from batchops.errors import UsageError
from batchops.outbox.sinks import Sink


class _Kind(NamedTuple):
    module: str
    library: str = ""
    extra: str = ""


_FILE = _Kind("batchops.outbox.sinks.file")
_HTTP = _Kind("batchops.outbox.sinks.http", "urllib3", "http")
_REDIS = _Kind("batchops.outbox.sinks.redis", "redis", "redis")
_AMQP = _Kind("batchops.outbox.sinks.rabbitmq", "pika", "rabbitmq")
_NATS = _Kind("batchops.outbox.sinks.nats", "nats", "nats")
_KAFKA = _Kind("batchops.outbox.sinks.kafka", "confluent_kafka", "kafka")
SCHEMES = {
    "-": _FILE, "file": _FILE, "http": _HTTP, "https": _HTTP, "redis": _REDIS, "rediss": _REDIS, "kafka": _KAFKA,
    "nats": _NATS, "amqp": _AMQP, "amqps": _AMQP,
}  # fmt: skip
"""By what comes before the colon; each module has `sink(url, environ)`."""
SPELLINGS = (
    "kafka://",
    "amqp://",
    "amqps://",
    "nats://",
    "redis://",
    "rediss://",
    "http://",
    "https://",
    "file:PATH",
    "-",
)
"""For the hint."""


def sink_of(url: str, environ: Mapping[str, str]) -> Sink:
    """The sink, not opened yet; UsageError where the address is none, or its client is not installed.

    env:NAME and cmd:PROGRAM fetch the address from where others cannot read it.
    """
    if url.startswith(("env:", "cmd:")):
        url = fetch(url, environ, "destination").text
    scheme = "-" if url == "-" else url.partition(":")[0].lower() if ":" in url else ""
    kind = SCHEMES.get(scheme)
    if kind is None or not (kind is _FILE or "://" in url):
        raise UsageError("--to: batchops does not know this destination.", f"there are {', '.join(SPELLINGS)}.")
    found: Sink = _module(kind, scheme).sink(url, environ)
    return found


def _module(kind: _Kind, scheme: str) -> Any:
    try:
        return import_module(kind.module)
    except ImportError as error:
        if not kind.library or (error.name or "").partition(".")[0] != kind.library:
            raise
        raise UsageError(
            f"{scheme}:// needs the extra {kind.extra}.", f"pip install 'batchops[{kind.extra}]'"
        ) from error
