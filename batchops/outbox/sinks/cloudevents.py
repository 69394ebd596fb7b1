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
"""Makes the headers and the body of a request from a message and the name of the source."""

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIXED_ATTRIBUTES = frozenset({"specversion", "id", "datacontenttype", "data", "data_base64"})
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key", "authorization"})


def structured(message: Message, source: str) -> tuple[Headers, bytes]:
    """Return the whole event as one JSON document. A body that is JSON is embedded unchanged."""
    if message.null:
        return {"Content-Type": "application/cloudevents+json"}, json.dumps(_attributes(message, source)).encode()
    kind, member = _data(message)
    head = json.dumps(_attributes(message, source) | {"datacontenttype": kind})
    return {"Content-Type": "application/cloudevents+json"}, head[:-1].encode() + b", " + member + b"}"


def binary(message: Message, source: str) -> tuple[Headers, bytes]:
    """Return the body unchanged, and the attributes of the event as headers."""
    attributes = {f"ce-{name}": _percent(value) for name, value in _attributes(message, source).items()}
    return {"Content-Type": header(_content_type(message)), **attributes}, message.body


FORMS: Mapping[str, MessageMapping] = {"structured": structured, "binary": binary}


def plain_headers(message: Message) -> Headers:
    """Return the message's headers that are sent as HTTP headers: all but content-type and ce-….

    The ce-… headers are attributes of the event.
    """
    return {
        name: header(value)
        for name, value in message.headers.items()
        if not name.lower().startswith("ce-") and name.lower() != "content-type"
    }


def header(value: str) -> str:
    """Return a value for a header: unchanged if it is ASCII, otherwise percent-encoded."""
    return value if value.isascii() else _percent(value)


def unfit(message: Message) -> Refused | None:
    """Return why the message cannot be sent over HTTP; None if it can."""
    if any(map(_CONTROL.search, (message.id, message.topic, message.key))):
        return Refused("its id, topic or key holds a control character", final=True)
    for name, value in message.headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED:
            return Refused("it has a header that HTTP does not take by that name", final=True)
        if name.lower().startswith("ce-") and not _ATTRIBUTE.fullmatch(name[3:].lower()):
            return Refused("a ce- header's name is of more than small letters and digits, 20 at most", final=True)
        if _CONTROL.search(value):
            return Refused(f'its header "{name}" holds a control character', final=True)
    return None


@dataclass(frozen=True)
class Signer:
    """Signs requests as Standard Webhooks specifies: HMAC-SHA256 over id, time and body.

    So a receiver can check who sent a request, and when.
    """

    secret: bytes

    def __call__(self, message: Message, body: bytes, now: int) -> Headers:
        """Return the headers that a receiver verifies: id, time and signature."""
        id_ = header(message.id)
        signed = f"{id_}.{now}.".encode() + body
        digest = base64.b64encode(hmac.digest(self.secret, signed, hashlib.sha256)).decode()
        return {"webhook-id": id_, "webhook-timestamp": str(now), "webhook-signature": f"v1,{digest}"}


def signer(secret: str) -> Signer:
    """Return the signer for a secret. After the prefix whsec_ it is base64; ValueError if it is not."""
    if not secret.startswith("whsec_"):
        return Signer(secret.encode())
    try:
        return Signer(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def _attributes(message: Message, source: str) -> dict[str, str]:
    given = {name.lower()[3:]: value for name, value in message.headers.items() if name.lower().startswith("ce-")}
    named = {"source": source, "type": message.topic or "event"}
    if message.key:
        named["subject"] = message.key
    own = {"specversion": "1.0", "id": message.id}
    return own | named | {name: value for name, value in given.items() if name not in _FIXED_ATTRIBUTES}


def _data(message: Message) -> tuple[str, bytes]:
    """Return the content type, and the JSON member `"data": …` or `"data_base64": …`."""
    declared = _declared_type(message)
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        kind = declared or "application/octet-stream"
        return kind, b'"data_base64": "' + base64.b64encode(message.body) + b'"'
    if (not declared or "json" in declared) and _is_json(text):
        return declared or "application/json", b'"data": ' + message.body
    return declared or "text/plain", b'"data": ' + json.dumps(text).encode()


def _content_type(message: Message) -> str:
    declared = _declared_type(message)
    if declared:
        return declared
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
    """Percent-encode a value as the HTTP binding of CloudEvents specifies.

    Encoded are blank, double quote, percent, and what is not printable ASCII.
    """
    return quote(value, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
