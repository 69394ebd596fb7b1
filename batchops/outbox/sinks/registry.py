"""Finds the sink for the address in --to. The sink's module, and with it the client library, is imported only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from batchops.db.url_references import fetch
from batchops.errors import UsageError, nearest
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
    "kafka": _KAFKA, "amqp": _AMQP, "amqps": _AMQP, "nats": _NATS, "redis": _REDIS, "rediss": _REDIS, "http": _HTTP,
    "https": _HTTP, "file": _FILE, "-": _FILE,
}  # fmt: skip
"""The kind of sink for each URL scheme. Each module has a function `sink(url, environ)`."""
_OTHER_NAMES = {"rabbitmq": "amqp", "rabbit": "amqp", "jetstream": "nats", "webhook": "https"}
"""What users may call a kind of sink, and its scheme."""


def sink_of(url: str, environ: Mapping[str, str]) -> Sink:
    """Return the sink for the address, not opened yet.

    Raise UsageError if batchops does not know the address, or the client library is not installed. env:NAME and
    cmd:PROGRAM fetch the address from a place where others cannot read it.
    """
    if url.startswith(("env:", "cmd:")):
        url = fetch(url, environ, "destination").text
    scheme = "-" if url == "-" else url.partition(":")[0].lower() if ":" in url else ""
    kind = SCHEMES.get(scheme)
    if kind is None or not (kind is _FILE or "://" in url):
        raise UsageError("--to: batchops does not know this destination.", _hint(url))
    found: Sink = _module(kind, scheme).sink(url, environ)
    return found


def _hint(url: str) -> str:
    """Return how to write the address; of `url` it names at most a known scheme, as the rest may be a secret."""
    known = f"there are {', '.join(map(_spelled, SCHEMES))}."
    scheme, colon, _ = url.lower().partition(":")
    if meant := _OTHER_NAMES.get(scheme) or nearest(scheme, (name for name in SCHEMES if name != "-")):
        return f"did you mean {_spelled(meant)}? T{known[1:]}"
    return known if colon else f"a file is written as file:PATH; {known}"


def _spelled(scheme: str) -> str:
    """Return a scheme as it is written at the start of an address; file: is written without slashes."""
    if scheme == "-":
        return scheme
    return f"{scheme}:PATH" if SCHEMES[scheme] is _FILE else f"{scheme}://"


def _module(kind: _Kind, scheme: str) -> Any:
    try:
        return import_module(kind.module)
    except ImportError as error:
        if not kind.library or (error.name or "").partition(".")[0] != kind.library:
            raise
        raise UsageError(
            f"{scheme}:// needs the extra {kind.extra}.", f"pip install 'batchops[{kind.extra}]'"
        ) from error
