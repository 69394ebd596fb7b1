"""The sink `redis://…`: adds each event to a stream as an entry."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from batchops.errors import UsageError
from batchops.outbox.sinks import (
    AccessRefusedError,
    Delivery,
    Message,
    Refused,
    SinkDownError,
    Unsent,
    answers,
    error_reasons,
    tls,
)
from batchops.outbox.sinks.address import SinkAddress, address
from batchops.outbox.sinks.ordering import DeliveryOrder, same_topic
from batchops.outbox.sinks.redis_commands import write_quickly

OPTIONS = ("timeout", "stream", "maxlen")
WINDOW = 500
"""Entries in a transaction. The server does nothing else while it executes one, for a few milliseconds."""
_SERVER_REFUSALS = {
    "OOM": "its memory is full (OOM)",
    "READONLY": "it is a read-only replica",
    "LOADING": "it is loading its data",
    "MISCONF": "it cannot save its data (MISCONF)",
    "NOREPLICAS": "too few replicas are connected (NOREPLICAS)",
    "MASTERDOWN": "its link with the primary is down",
    "CLUSTERDOWN": "the cluster is down",
    "BUSY": "a script keeps it busy",
    "NOAUTH": "it wants a user and a password",
}
"""Refusals that no event is to blame for, by the first word of the server's message."""
_HINTS = {
    "READONLY": "name the primary.",
    "OOM": "let old entries go: maxlen=N, or give it more memory.",
}


def sink(url: str, environ: Mapping[str, str]) -> "RedisSink":
    """Return the sink for the server in the URL; raise UsageError for an option that it does not have."""
    return RedisSink(address(url, 6379, environ))


class RedisSink:
    """Adds entries in transactions of up to 500.

    The server executes a transaction as a whole or not at all, even if its answer is lost. Within a transaction it
    refuses all entries of a stream or none. So entries of one key for one stream may share a transaction: none is
    added after an earlier one was refused.
    """

    def __init__(self, at: SinkAddress) -> None:
        secure = at.scheme == "rediss"
        at.only(*OPTIONS, *(tls.OPTIONS if secure else ()))
        if not (at.path.isdigit() or not at.path) or len(at.hosts) > 1:
            raise UsageError(f"{at.scheme}:// takes one host and the number of a database: {at.scheme}://host:6379/0.")
        self._place = at.place
        self._stream = at.options.get("stream")
        limit = at.number("maxlen", 1, 10**12) if "maxlen" in at.options else 0
        self._trim: tuple[str | int, ...] = ("MAXLEN", "~", limit) if limit else ()
        self._client = _client(at, _tls(at) if secure else {})
        write_quickly(self._client)
        self._is_open = False
        self._isolated: set[str] = set()
        """Ids of the messages that were under way when the connection was lost: one of them may be the reason."""

    def open(self) -> None:
        """Connect, and check that the server answers."""
        if not self._is_open:
            try:
                self._client.ping()
            except RedisError as error:
                raise self._down(error) from error
            self._is_open = True

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Send the messages in transactions. An error that concerns all messages ends the call."""
        self.open()
        order = DeliveryOrder(messages, WINDOW, same_topic, self._isolated)
        while indexes := order.take():
            try:
                self._add(order, messages, indexes)
            except RedisError as error:
                return self._failed(order, messages, error)
        self._isolated.clear()
        return order.end()

    def loss_warning(self, topic: str) -> str | None:  # noqa: ARG002  it holds for the whole server
        """Return the warning if the server keeps no append-only file."""
        try:
            info = self._client.info("persistence")
        except RedisError:
            return None  # the user may lack the right to ask
        if info.get("aof_enabled", 1):
            return None
        return (
            f"{self._place} keeps no append-only file: when it starts again, what it has acknowledged since its last "
            "snapshot is gone (appendonly yes prevents that)."
        )

    def close(self) -> None:
        """Close the connection."""
        self._is_open = False
        self._client.close()

    def _add(self, order: DeliveryOrder, messages: Sequence[Message], indexes: Sequence[int]) -> None:
        fit = [index for index in indexes if self._fit(order, index, messages[index])]
        if not fit:
            return
        pipe = self._client.pipeline(transaction=True)
        for index in fit:
            pipe.execute_command("XADD", *self._entry(messages[index]))  # type: ignore[no-untyped-call]  # the client's
        for index, answer in zip(fit, pipe.execute(raise_on_error=False), strict=True):
            order.settle(index, _delivery(answer))

    def _fit(self, order: DeliveryOrder, index: int, message: Message) -> bool:
        if self._stream or (message.topic and "\0" not in message.topic):
            return True
        order.settle(index, Refused("its topic is empty or holds a NUL, so it names no stream", final=True))
        return False

    def _entry(self, message: Message) -> list[str | bytes | int]:
        entry: list[str | bytes | int] = [self._stream or message.topic, *self._trim, "*"]
        entry += ["id", message.id, "key", message.key]
        for name, value in message.headers.items():
            entry += [f"header:{name}", value]
        return [*entry, "body", message.body]

    def _failed(self, order: DeliveryOrder, messages: Sequence[Message], error: RedisError) -> Sequence[Delivery]:
        """Return the deliveries after a transaction failed: a command was refused, or the server cannot be used."""
        word = _first_word(error)
        if word in _SERVER_REFUSALS or isinstance(error, AuthenticationError):
            if not order.acknowledged:
                raise self._down(error) from error
            return order.end(Unsent(_SERVER_REFUSALS.get(word, "its user or password is refused")))
        alone, under_way = order.one_by_one or len(order.under_way) == 1, order.under_way
        if isinstance(error, ConnectionError | TimeoutError):
            self.close()
            reason = error_reasons.why(error)[0]
            if not (order.one_by_one and answers(self)):
                self._isolated = {messages[index].id for index in under_way}
                return order.end(Unsent(reason))
            return order.end(Refused(f"the connection ended at this event alone ({reason})"))
        if alone:
            return order.end(Refused(_message_of(error)))
        self._isolated = {messages[index].id for index in under_way}
        return order.end(Unsent("refused together with others; each is tried alone next"))

    def _down(self, error: RedisError) -> SinkDownError:
        word = _first_word(error)
        if isinstance(error, AuthenticationError) or word in ("WRONGPASS", "NOAUTH"):
            return AccessRefusedError(f"{self._place}: the user or password is refused.", "check them in the URL.")
        if isinstance(error, NoPermissionError):
            return AccessRefusedError(
                f"{self._place}: {_message_of(error)}.", "allow the user PING, MULTI, EXEC and XADD."
            )
        if "DB index" in str(error):
            return AccessRefusedError(f"{self._place}: it has no database of that number.", "redis://host:6379/0.")
        if word in _SERVER_REFUSALS:
            return SinkDownError(f"{self._place}: {_SERVER_REFUSALS[word]}.", _HINTS.get(word, ""))
        if isinstance(error, ResponseError):
            return SinkDownError(f"{self._place}: {_message_of(error)}.")
        return error_reasons.down(self._place, error)


def _client(at: SinkAddress, files: Mapping[str, Any]) -> redis.Redis:
    ((host, port),) = at.hosts
    seconds = at.seconds("timeout", 10.0)
    return redis.Redis(
        host=host,
        port=port,
        db=int(at.path or 0),
        username=at.user or None,
        password=at.password or None,
        socket_timeout=seconds,
        socket_connect_timeout=min(seconds, 10.0),
        retry=Retry(NoBackoff(), 0),  # the code that keeps the order sends again
        protocol=2,
        **files,
    )


def _tls(at: SinkAddress) -> dict[str, Any]:
    """Return the TLS files under the client's option names; raise UsageError if one cannot be used."""
    tls.context(at)
    files = zip(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), tls.OPTIONS, strict=True)
    return {"ssl": True, **{name: at.options.get(option) for name, option in files}}


def _delivery(answer: object) -> Delivery:
    return Refused(_message_of(answer)) if isinstance(answer, Exception) else None


def _message_of(error: Exception) -> str:
    """Return the server's message without the command, which the client may put before it: it holds event data."""
    return str(error).rpartition("caused error: ")[2][:300]


def _first_word(error: Exception) -> str:
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "OOM"
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "READONLY"
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return "LOADING"
    return _message_of(error).partition(" ")[0]
