"""`https://…`: each event a POST of a CloudEvent; 2xx alone is an acknowledgement."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, SSLError

from batchops.errors import UsageError
from batchops.outbox.sinks import Delivery, Message, Refused, SinkDownError, cloudevents, tls
from batchops.outbox.sinks.address import SinkAddress, address
from batchops.outbox.sinks.http_answers import DeliveryFault, HttpAnswer, answered, unanswered
from batchops.outbox.sinks.http_pool import HttpBatch

PORTS = {"http": 80, "https": 443}
OPTIONS = ("timeout", "connections", "format", "source", "secret", "token", *tls.OPTIONS)
ANSWER_BYTES = 65_536
"""Of an answer's body so much is read, to use its connection again; it says nothing to us."""


def sink(url: str, environ: Mapping[str, str]) -> "HttpSink":
    """The destination of that URL; UsageError for an option that it cannot have."""
    return HttpSink(address(url, PORTS[url.partition(":")[0].lower()], environ), url)


class HttpSink:
    """Several connections side by side, one request of a key at a time; redirects are not followed."""

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
        """No request before then: the destination has asked for it."""

    def open(self) -> None:
        """Be ready; who answers is seen with the first event: an empty request might do something."""
        if (left := self._quiet_until - time.monotonic()) > 0:
            raise SinkDownError(f"{self._place} asks to wait for another {left:.0f} s.")
        if self._pool is None:
            more: dict[str, Any] = {} if self._tls is None else {"ssl_context": self._tls}
            self._pool = urllib3.PoolManager(retries=False, maxsize=self._connections, **more)

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Each event posted, as many side by side as there are connections."""
        self.open()
        posting = HttpBatch(messages, self._post, self._unfit, self._connections, self._seconds)
        try:
            return posting.deliveries(self._place)
        finally:
            self._quiet_until = time.monotonic() + posting.quiet

    def close(self) -> None:
        """Close what is open."""
        if self._pool is not None:
            self._pool.clear()
        self._pool = None

    def _unfit(self, message: Message) -> Refused | None:
        return cloudevents.unfit(message)

    def _post(self, message: Message, seconds: float) -> HttpAnswer:
        headers, body = self._form(message, self._source)
        headers |= (
            cloudevents.plain_headers(message) | self._headers | {"Idempotency-Key": cloudevents.header(message.id)}
        )
        if self._sign is not None:
            headers |= self._sign(message, body, int(time.time()))
        try:
            try:
                return self._asked(body, headers, seconds)
            except ProtocolError:
                # Usually a connection kept alive that the other side closed meanwhile; the id is the same again.
                return self._asked(body, headers, seconds)
        except (NewConnectionError, ConnectTimeoutError, SSLError) as error:
            return unanswered(error, DeliveryFault.DESTINATION)
        except HTTPError as error:
            return unanswered(error, DeliveryFault.EITHER)

    def _asked(self, body: bytes, headers: Mapping[str, str], seconds: float) -> HttpAnswer:
        assert self._pool is not None
        bound = urllib3.Timeout(connect=min(seconds, 10), read=seconds)
        answer = self._pool.request(
            "POST", self._url, body=body, headers=headers, redirect=False, timeout=bound, preload_content=False
        )
        _read_away(answer)
        return answered(answer.status, answer.headers)


def _read_away(answer: urllib3.BaseHTTPResponse) -> None:
    """The status has said it all: what is wrong with the rest only costs the connection."""
    try:
        if len(answer.read(ANSWER_BYTES + 1)) <= ANSWER_BYTES:
            answer.release_conn()
            return
    except HTTPError:
        pass
    answer.close()


def _request_url(url: str) -> str:
    """The URL that is asked for: without credentials, and without our options after the "#"."""
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
