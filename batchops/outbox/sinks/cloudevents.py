"""A message as an HTTP request: a CloudEvent 1.0, structured or binary, signed if there is a secret for that."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from batchops.outbox.sinks import Message, Refused

Headers = dict[str, str]
MessageMapping = Callable[[Message, str], tuple[Headers, bytes]]
"""From a message and the source's name to headers and body."""

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"specversion", "id", "datacontenttype", "data", "data_base64"})
_HELD = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key", "authorization"})


def structured(message: Message, source: str) -> tuple[Headers, bytes]:
    """The whole event as one JSON document; a body that is JSON is in it as it is."""
    if message.null:
        return {"Content-Type": "application/cloudevents+json"}, json.dumps(_attributes(message, source)).encode()
    kind, member = _data(message)
    head = json.dumps(_attributes(message, source) | {"datacontenttype": kind})
    return {"Content-Type": "application/cloudevents+json"}, head[:-1].encode() + b", " + member + b"}"


def binary(message: Message, source: str) -> tuple[Headers, bytes]:
    """The body as it is; what describes it in headers."""
    attributes = {f"ce-{name}": _percent(value) for name, value in _attributes(message, source).items()}
    return {"Content-Type": header(_content_type(message)), **attributes}, message.body


FORMS: Mapping[str, MessageMapping] = {"structured": structured, "binary": binary}


def plain_headers(message: Message) -> Headers:
    """The message's headers that travel as such: all but ce-…, which describe the event, and content-type."""
    return {
        name: header(value)
        for name, value in message.headers.items()
        if not name.lower().startswith("ce-") and name.lower() != "content-type"
    }


def header(value: str) -> str:
    """A header's value: plain ASCII as it is, any other percent-encoded whole."""
    return value if value.isascii() else _percent(value)


def unfit(message: Message) -> Refused | None:
    """What cannot travel over HTTP, and why."""
    if any(map(_CONTROL.search, (message.id, message.topic, message.key))):
        return Refused("its id, topic or key holds a control character", final=True)
    for name, value in message.headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _HELD:
            return Refused("it has a header that HTTP does not take by that name", final=True)
        if name.lower().startswith("ce-") and not _ATTRIBUTE.fullmatch(name[3:].lower()):
            return Refused("a ce- header's name is of more than small letters and digits, 20 at most", final=True)
        if _CONTROL.search(value):
            return Refused(f'its header "{name}" holds a control character', final=True)
    return None


@dataclass(frozen=True)
class Signer:
    """Signs as Standard Webhooks says: id, time and body, HMAC-SHA256, so that a receiver knows who and when."""

    secret: bytes

    def __call__(self, message: Message, body: bytes, now: int) -> Headers:
        """The headers that a receiver verifies."""
        id_ = header(message.id)
        signed = f"{id_}.{now}.".encode() + body
        digest = base64.b64encode(hmac.digest(self.secret, signed, hashlib.sha256)).decode()
        return {"webhook-id": id_, "webhook-timestamp": str(now), "webhook-signature": f"v1,{digest}"}


def signer(secret: str) -> Signer:
    """By the secret's text; with whsec_ before it, it is base64. ValueError if that it is not."""
    if not secret.startswith("whsec_"):
        return Signer(secret.encode())
    try:
        return Signer(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def _attributes(message: Message, source: str) -> dict[str, str]:
    told = {name.lower()[3:]: value for name, value in message.headers.items() if name.lower().startswith("ce-")}
    named = {"source": source, "type": message.topic or "event"}
    if message.key:
        named["subject"] = message.key
    own = {"specversion": "1.0", "id": message.id}
    return own | named | {name: value for name, value in told.items() if name not in _OURS}


def _data(message: Message) -> tuple[str, bytes]:
    """The content type, and `"data": …` or `"data_base64": …`."""
    told = _declared_type(message)
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        kind = told or "application/octet-stream"
        return kind, b'"data_base64": "' + base64.b64encode(message.body) + b'"'
    if (not told or "json" in told) and _is_json(text):
        return told or "application/json", b'"data": ' + message.body
    return told or "text/plain", b'"data": ' + json.dumps(text).encode()


def _content_type(message: Message) -> str:
    told = _declared_type(message)
    if told:
        return told
    try:
        return "application/json" if _is_json(message.body.decode()) else "text/plain; charset=utf-8"
    except UnicodeDecodeError:
        return "application/octet-stream"


def _declared_type(message: Message) -> str:
    return next((value for name, value in message.headers.items() if name.lower() == "content-type"), "")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    return True


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _percent(value: str) -> str:
    """As the HTTP binding of CloudEvents says: blank, double quote, percent, and what is not printable ASCII."""
    return quote(value, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
