"""The sink `https://…`: posts each event as a CloudEvent. Only a 2xx status is an acknowledgement."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, SSLError

from batchops.errors import UsageError
from batchops.outbox.sinks import Delivery, Message, SinkDownError, cloudevents, tls
from batchops.outbox.sinks.address import SinkAddress, address
from batchops.outbox.sinks.http_answers import DeliveryFault, HttpAnswer, answered, unanswered
from batchops.outbox.sinks.http_pool import HttpBatch

PORTS = {"http": 80, "https": 443}
OPTIONS = ("timeout", "connections", "format", "source", "secret", "token", *tls.OPTIONS)
ANSWER_BYTES = 65_536
"""Bytes of an answer's body that are read, so that its connection can be used again. They are discarded."""


def sink(url: str, environ: Mapping[str, str]) -> "HttpSink":
    """Return the sink for the URL; raise UsageError for an option that it does not have."""
    return HttpSink(address(url, PORTS[url.partition(":")[0].lower()], environ), url)


class HttpSink:
    """Posts events over several connections at once, but one event of a key at a time. It follows no redirects."""

    def __init__(self, at: SinkAddress, url: str) -> None:
        at.only(*OPTIONS)
        self._place = at.place
        self._url = _request_url(url)
        self._seconds = at.seconds("timeout", 30.0)
        self._connections = at.number("connections", 8, 256)
        self._form = cloudevents.FORMS[at.choice("format", *cloudevents.FORMS)]
        self._source = at.options.get("source", "batchops")
        self._headers = _credentials(at)
        self._sign = _signer(at)
        self._tls = tls.context(at) if at.scheme == "https" else None
        self._pool: urllib3.PoolManager | None = None
        self._quiet_until = 0.0
        """The time before which no request is sent, because the destination asked to wait."""

    def open(self) -> None:
        """Prepare the connections without a request: even an empty one might have an effect at the destination.

        Whether the destination answers shows with the first event.
        """
        if (left := self._quiet_until - time.monotonic()) > 0:
            raise SinkDownError(f"{self._place} asks to wait for another {left:.0f} s.")
        if self._pool is None:
            more: dict[str, Any] = {} if self._tls is None else {"ssl_context": self._tls}
            self._pool = urllib3.PoolManager(retries=False, maxsize=self._connections, **more)

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Post each event, as many at once as there are connections."""
        self.open()
        posting = HttpBatch(messages, self._post, cloudevents.unfit, self._connections, self._seconds)
        try:
            return posting.deliveries(self._place)
        finally:
            self._quiet_until = time.monotonic() + posting.quiet

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.clear()
        self._pool = None

    def _post(self, message: Message, seconds: float) -> HttpAnswer:
        headers, body = self._form(message, self._source)
        headers |= (
            cloudevents.plain_headers(message) | self._headers | {"Idempotency-Key": cloudevents.header(message.id)}
        )
        if self._sign is not None:
            headers |= self._sign(message, body, int(time.time()))
        try:
            try:
                return self._request(body, headers, seconds)
            except ProtocolError:
                # Usually the server has closed a connection that was kept alive. The retry has the same id.
                return self._request(body, headers, seconds)
        except (NewConnectionError, ConnectTimeoutError, SSLError) as error:
            return unanswered(error, DeliveryFault.DESTINATION)
        except HTTPError as error:
            return unanswered(error, DeliveryFault.EITHER)

    def _request(self, body: bytes, headers: Mapping[str, str], seconds: float) -> HttpAnswer:
        assert self._pool is not None
        bound = urllib3.Timeout(connect=min(seconds, 10), read=seconds)
        answer = self._pool.request(
            "POST", self._url, body=body, headers=headers, redirect=False, timeout=bound, preload_content=False
        )
        _discard_body(answer)
        return answered(answer.status, answer.headers)


def _discard_body(answer: urllib3.BaseHTTPResponse) -> None:
    """Read the answer's body and release the connection; close it if the body is too long or cannot be read.

    The status has decided the result already, so an error here is ignored.
    """
    try:
        if len(answer.read(ANSWER_BYTES + 1)) <= ANSWER_BYTES:
            answer.release_conn()
            return
    except HTTPError:
        pass
    answer.close()


def _request_url(url: str) -> str:
    """Return the URL to post to: without the credentials, and without batchops' own options after the "#"."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def _credentials(at: SinkAddress) -> dict[str, str]:
    token = at.secret("token")
    if token is not None and at.user is not None:
        raise UsageError("An https:// URL takes a user or a token, not both.")
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if at.user is not None:
        return urllib3.make_headers(basic_auth=f"{at.user}:{at.password or ''}")
    return {}


def _signer(at: SinkAddress) -> cloudevents.Signer | None:
    secret = at.secret("secret")
    if secret is None:
        return None
    try:
        return cloudevents.signer(secret)
    except ValueError as error:
        raise UsageError(f"The signing secret cannot be used: {error}.") from None
