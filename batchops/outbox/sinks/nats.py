"""`nats://…`: each event a message in a JetStream stream, acknowledged by the server once it has stored it."""

import asyncio
import itertools
import json
import re
import ssl
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig

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
from batchops.outbox.sinks.ordering import DeliveryOrder

T = TypeVar("T")
OPTIONS = ("timeout", "subject", "tls")
WINDOW = 2_000
"""Messages under way, each of another key: the server may refuse one and store the next."""
SPARE = 5.0
"""Seconds beyond the server's own in which the loop of this client must have come back."""
_SUBJECT = re.compile(r"[^\s*>.\x00]+(\.[^\s*>.\x00]+)*")
_HEADER = re.compile(r"[!-9;-~]+")
_TOO_LARGE = frozenset({10054, 10097})
"""The server's numbers for a message larger than its stream takes, and for its headers."""
_OF_ACCESS = ("authorization", "credentials", "authentication expired", "authentication revoked")
"""In the server's words when it refuses who connects."""
LONGEST_SUBJECT_BYTES = 3_900
"""Bytes of a subject: servers read no line that is longer than 4,096 with what else is in it."""
_FULL = frozenset({10047, 10077})
"""Its numbers for a stream, or a store, that has no room: as any refusal by a stream, their code is 400."""


def sink(url: str, environ: Mapping[str, str]) -> "NatsSink":
    """The streams of that server; UsageError for an option that it cannot have."""
    return NatsSink(address(url, 4222, environ))


class NatsSink:
    """Publishes to JetStream only: the core's own publish is acknowledged by nobody.

    `Nats-Msg-Id` is the event's id, so that a stream leaves out what it has had within its duplicate window.
    """

    def __init__(self, at: SinkAddress) -> None:
        at.only(*OPTIONS, *tls.OPTIONS)
        if at.path:
            raise UsageError("nats:// takes hosts only: nats://host:4222,host:4222.", "name the subject by --topic.")
        self._place = at.place
        self._subject = at.options.get("subject")
        self._seconds = at.seconds("timeout", 10.0)
        self._settings = _settings(at, min(self._seconds, 10.0))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self._inbox = ""
        self._numbers = itertools.count()
        self._waiting: dict[str, int] = {}
        """Messages under way, by the number in the subject that they are answered at."""
        self._answers: asyncio.Queue[tuple[int, Delivery] | None] = asyncio.Queue()
        """None: no more will come."""
        self._isolated: set[str] = set()
        """Were under way when the connection was lost."""

    def open(self) -> None:
        """Connect."""
        if self._client is not None and self._client.is_connected:
            return
        self.close()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="batchops-nats", daemon=True)
        self._thread.start()
        try:
            self._wait(self._connected(), self._seconds + SPARE)
        except (NatsError, OSError, TimeoutError) as error:
            self.close()
            raise self._down(error) from error

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Each event, pipelined over the keys; where nothing at all is stored, the server is at fault."""
        self.open()
        order = DeliveryOrder(messages, WINDOW, isolated=self._isolated)
        try:
            full = self._wait(self._publish(order, messages), None)
        except (NatsError, OSError, TimeoutError) as error:
            self.close()
            return self._broken(order, messages, error)
        self._isolated = set()
        if full and not order.acknowledged:
            raise SinkDownError(f"{self._place}: {full}.", "let the stream drop old messages, or make it larger.")
        return order.end()

    def _broken(self, order: DeliveryOrder, messages: Sequence[Message], error: Exception) -> Sequence[Delivery]:
        """The connection is gone: one of the events under way may be why, and that shows once it is alone."""
        reason = error_reasons.why(error)[0]
        if isinstance(error, TimeoutError):  # a server that is slow, whatever it is sent
            return order.end(Unsent(reason))
        if order.one_by_one and answers(self):
            return order.end(Refused(f"the connection ended at this event alone ({reason})"))
        self._isolated = {messages[index].id for index in order.under_way}
        return order.end(Unsent(reason))

    def loss_warning(self, topic: str) -> str | None:
        """Where the subject's stream is in the memory of one server."""
        if self._client is None:
            return None
        with suppress(NatsError, OSError, TimeoutError, ValueError):  # not every user may ask
            config = self._wait(self._stream(self._client, self._subject or topic), self._seconds + SPARE)
            if config.storage == StorageType.MEMORY and (config.num_replicas or 1) == 1:
                return (
                    f"{self._place}: stream {config.name} is in the memory of one server: when that starts again, what "
                    "it has acknowledged is gone (storage file, or replicas, prevent that)."
                )
        return None

    @staticmethod
    async def _stream(client: Client, subject: str) -> StreamConfig:
        manager = client.jsm(timeout=1.0)
        return (await manager.stream_info(await manager.find_stream_name_by_subject(subject))).config

    def close(self) -> None:
        """Close the connection and end its loop."""
        client, loop, thread = self._client, self._loop, self._thread
        self._client = self._loop = self._thread = None
        if loop is None or thread is None:
            return
        if client is not None:
            asyncio.run_coroutine_threadsafe(_closed(client), loop).result(SPARE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SPARE)
        if not thread.is_alive():
            loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _connected(self) -> None:
        self._client = TlsRequired() if "tls" in self._settings else Client()
        await asyncio.wait_for(self._client.connect(**self._settings, closed_cb=self._gone), self._seconds)
        self._inbox = self._client.new_inbox()
        # Not the client's own publish_async: of a refusal by the stream it never tells.
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def _gone(self) -> None:
        self._answers.put_nowait(None)

    async def _answered(self, answer: Msg) -> None:
        index = self._waiting.pop(answer.subject.rpartition(".")[2], None)
        if index is not None:  # else of an earlier call
            self._answers.put_nowait((index, _verdict(answer)))

    async def _publish(self, order: DeliveryOrder, messages: Sequence[Message]) -> str:
        """Until all are settled; why the stream takes nothing, where that is so."""
        full = ""
        self._waiting, self._answers = {}, asyncio.Queue()
        while not order.done:
            for index in order.take():
                await self._begun(order, messages, index)
            if not order.under_way:
                continue
            found = [await asyncio.wait_for(self._answers.get(), self._seconds)]
            while not self._answers.empty():
                found.append(self._answers.get_nowait())
            for one in found:
                if one is None:
                    raise ConnectionClosedError
                index, delivery = one
                full = delivery.reason if isinstance(delivery, Unsent) else full
                order.settle(index, delivery)
        return full

    async def _begun(self, order: DeliveryOrder, messages: Sequence[Message], index: int) -> None:
        assert self._client is not None
        message = messages[index]
        if refused := self._unfit(message):
            order.settle(index, refused)
            return
        headers = {**message.headers, "Nats-Msg-Id": message.id, "key": message.key}
        number = str(next(self._numbers))
        self._waiting[number] = index
        subject, reply = self._subject or message.topic, f"{self._inbox}.{number}"
        await self._client.publish(subject, message.body, reply=reply, headers=headers)

    def _unfit(self, message: Message) -> Refused | None:
        subject = self._subject or message.topic
        if not _SUBJECT.fullmatch(subject):
            return Refused(f"{subject[:60]!a} is not a subject to publish to", final=True)
        texts = (message.id, message.key, *message.headers.values())
        if any(sign in text for text in texts for sign in "\r\n\0") or not all(map(_HEADER.fullmatch, message.headers)):
            return Refused("its id, key or a header holds what no header can", final=True)
        assert self._client is not None
        if len(subject.encode()) > LONGEST_SUBJECT_BYTES:
            return Refused(f"its subject is more than {LONGEST_SUBJECT_BYTES:,} bytes", final=True)
        size, most = len(message.body) + _header_bytes(message), self._client.max_payload
        if size > most:
            return Refused(f"its {size:,} bytes are more than the server takes ({most:,})", final=True)
        return None

    def _down(self, error: BaseException) -> SinkDownError:
        if any(word in str(error).lower() for word in _OF_ACCESS):
            return AccessRefusedError(f"{self._place}: the user or password is refused.", "check them in the URL.")
        return error_reasons.down(self._place, error)


class TlsRequired(Client):
    """Ends where the server begins no TLS, before a password is sent: the client itself would continue in the clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if not info.get("tls_required"):
            raise ssl.SSLError("the server offers none")
        await super()._process_info(info, initial_connection)


def _settings(at: SinkAddress, seconds: float) -> dict[str, Any]:
    secure = at.choice("tls", "no", "yes") == "yes" or any(name in at.options for name in tls.OPTIONS)
    credentials = {"user": at.user, "password": at.password} if at.password is not None else {"token": at.user}
    return {
        "servers": [f"{'tls' if secure else 'nats'}://{host}:{port}" for host, port in at.hosts],
        "connect_timeout": max(1, round(seconds)),
        "allow_reconnect": False,  # what was under way must not be sent again behind our back
        "max_reconnect_attempts": 1,  # to a server; 0 would be without end
        "reconnect_time_wait": 0.05,
        "name": "batchops",
        "error_cb": _quiet,
        **({"tls": tls.context(at)} if secure else {}),
        **{name: value for name, value in credentials.items() if value is not None},
    }


async def _quiet(_: Exception) -> None:
    """The client would write to stderr; what matters comes back as errors."""


async def _closed(client: Client) -> None:
    await client.close()


def _header_bytes(message: Message) -> int:
    """As they are on the wire, with ours among them."""
    named = {**message.headers, "Nats-Msg-Id": message.id, "key": message.key}
    return 12 + sum(len(name) + len(value.encode()) + 4 for name, value in named.items())


def _verdict(answer: Msg) -> Delivery:
    if answer.headers and answer.headers.get("Status") == "503":
        return Refused("no stream takes its subject: nats stream add … --subjects …")
    try:
        error = json.loads(answer.data).get("error")
    except (ValueError, AttributeError):
        return Unsent("an answer that cannot be read")
    if error is None:
        return None
    number, reason = error.get("err_code"), f"{error.get('description', 'refused')} ({error.get('err_code')})"
    if number in _TOO_LARGE:
        return Refused(reason, final=True)
    return Unsent(reason) if number in _FULL or error.get("code", 500) >= 500 else Refused(reason)
