"""The sink `nats://…`: sends each event to a JetStream stream. The server acknowledges it once it is stored."""

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
"""The most messages under way, each of another key: the server may refuse one and store the next."""
SPARE = 5.0
"""Seconds beyond the server's timeout in which the client's event loop must have returned."""
_SUBJECT = re.compile(r"[^\s*>.\x00]+(\.[^\s*>.\x00]+)*")
_HEADER = re.compile(r"[!-9;-~]+")
_TOO_LARGE = frozenset({10054, 10097})
"""The server's error numbers for a message, or its headers, larger than the stream accepts."""
_ACCESS_WORDS = ("authorization", "credentials", "authentication expired", "authentication revoked")
"""Words in the server's message when it refuses the credentials."""
LONGEST_SUBJECT_BYTES = 3_900
"""Bytes of a subject. Servers accept protocol lines of at most 4,096 bytes, which hold more than the subject."""
_FULL = frozenset({10047, 10077})
"""The server's error numbers for a stream or store that is full. Their code is 400, as for any refusal."""


def sink(url: str, environ: Mapping[str, str]) -> "NatsSink":
    """Return the sink for the servers in the URL; raise UsageError for an option that it does not have."""
    return NatsSink(address(url, 4222, environ))


class NatsSink:
    """Publishes to JetStream only: a plain NATS publish is not acknowledged.

    `Nats-Msg-Id` is the event's id, so that a stream drops duplicates within its duplicate window.
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
        """Indexes of the messages under way, by the number in the subject of their answers."""
        self._answers: asyncio.Queue[tuple[int, Delivery] | None] = asyncio.Queue()
        """Deliveries by the message's index. None: the connection is closed, and no more will come."""
        self._isolated: set[str] = set()
        """Ids of the messages that were under way when the connection was lost."""

    def open(self) -> None:
        """Connect, in an event loop in a thread of its own."""
        if self._client is not None and self._client.is_connected:
            return
        self.close()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="batchops-nats", daemon=True)
        self._thread.start()
        try:
            self._wait(self._connect(), self._seconds + SPARE)
        except (NatsError, OSError, TimeoutError) as error:
            self.close()
            raise self._down(error) from error

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Publish the messages, those of different keys at once. Raise SinkDownError if a full stream stores none."""
        self.open()
        order = DeliveryOrder(messages, WINDOW, isolated=self._isolated)
        try:
            full = self._wait(self._publish(order, messages), None)
        except (NatsError, OSError, TimeoutError) as error:
            self.close()
            return self._lost(order, messages, error)
        self._isolated = set()
        if full and not order.acknowledged:
            raise SinkDownError(f"{self._place}: {full}.", "let the stream drop old messages, or make it larger.")
        return order.end()

    def _lost(self, order: DeliveryOrder, messages: Sequence[Message], error: Exception) -> Sequence[Delivery]:
        """Return the deliveries after the connection was lost.

        An event under way may be the cause. So the next call sends each of them alone.
        """
        reason = error_reasons.why(error)[0]
        if isinstance(error, TimeoutError):  # the server is slow; no event is the cause
            return order.end(Unsent(reason))
        if order.one_by_one and answers(self):
            return order.end(Refused(f"the connection ended at this event alone ({reason})"))
        self._isolated = {messages[index].id for index in order.under_way}
        return order.end(Unsent(reason))

    def loss_warning(self, topic: str) -> str | None:
        """Return the warning if the subject's stream is kept in the memory of one server."""
        if self._client is None:
            return None
        with suppress(NatsError, OSError, TimeoutError, ValueError):  # the user may lack the right to ask
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
        """Close the connection and end its loop, also if the client does not close in time."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(NatsError, OSError, TimeoutError):  # what is not sent then was never acknowledged
                self._wait(_close_client(client), 2 * SPARE)
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SPARE)
        if not thread.is_alive():
            loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _connect(self) -> None:
        self._client = TlsRequired() if "tls" in self._settings else Client()
        await asyncio.wait_for(self._client.connect(**self._settings, closed_cb=self._on_closed), self._seconds)
        self._inbox = self._client.new_inbox()
        # Not the client's own publish_async: it never reports a refusal by the stream.
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def _on_closed(self) -> None:
        self._answers.put_nowait(None)

    async def _on_answer(self, answer: Msg) -> None:
        index = self._waiting.pop(answer.subject.rpartition(".")[2], None)
        if index is not None:  # else the answer is for an earlier call
            self._answers.put_nowait((index, _verdict(answer)))

    async def _publish(self, order: DeliveryOrder, messages: Sequence[Message]) -> str:
        """Publish until all messages are settled; return why the stream is full, or ""."""
        full = ""
        self._waiting, self._answers = {}, asyncio.Queue()
        while not order.done:
            for index in order.take():
                await self._publish_one(order, messages, index)
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

    async def _publish_one(self, order: DeliveryOrder, messages: Sequence[Message], index: int) -> None:
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
        if any(word in str(error).lower() for word in _ACCESS_WORDS):
            return AccessRefusedError(f"{self._place}: the user or password is refused.", "check them in the URL.")
        return error_reasons.down(self._place, error)


class TlsRequired(Client):
    """Fails if the server does not offer TLS, before a password is sent: the client would continue unencrypted."""

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
        "allow_reconnect": False,  # the client must not send messages again by itself
        "max_reconnect_attempts": 1,  # per server; 0 means no limit
        "reconnect_time_wait": 0.05,
        "name": "batchops",
        "error_cb": _ignore_error,
        **({"tls": tls.context(at)} if secure else {}),
        **{name: value for name, value in credentials.items() if value is not None},
    }


async def _ignore_error(_: Exception) -> None:
    """Ignore the error: the client would write it to stderr, and what matters is raised as well."""


async def _close_client(client: Client) -> None:
    try:
        await asyncio.wait_for(client.close(), SPARE)
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _header_bytes(message: Message) -> int:
    """Return the size of the headers on the wire, including those that batchops adds."""
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
