"""Events over HTTP: whose fault an answer is, and what a receiver can rely on."""

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, Message, Refused, SinkDownError
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.received import kinds, message, messages, same
from tests.outbox.sinks.webhook import Request, Webhook
from tests.services.private import free_port


def number(request: Request) -> int:
    return int(request.event["data"]["number"])


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_an_acknowledgement(webhook: Webhook, opened: Open, status: int) -> None:
    webhook.script = lambda _: status
    assert list(opened(webhook.url).send(messages(webhook, 1))) == [None]


@pytest.mark.parametrize(
    ("status", "beside", "only", "several"),
    [
        (400, "final", "final", "final"),
        (413, "final", "final", "final"),
        (422, "final", "final", "final"),
        (408, "Refused", "Refused", "down"),
        (409, "Refused", "Refused", "down"),
        (425, "Refused", "Refused", "down"),
        (500, "Refused", "Refused", "down"),
        (301, "final", "Refused", "down"),
        (403, "final", "Refused", "no access"),
        (404, "final", "Refused", "down"),
        (502, "Refused", "down", "down"),
        (503, "Refused", "down", "down"),
        (429, "Unsent", "down", "down"),
        (401, "Unsent", "no access", "no access"),
        (407, "Unsent", "no access", "no access"),
    ],
)
def test_whose_fault_an_answer_is(
    webhook: Webhook, opened: Open, status: int, beside: str, only: str, several: str
) -> None:
    """The same answer beside one that is good, to an event that is alone, and to all of several."""

    def outcome(script: str, count: int) -> str:
        webhook.script = lambda request: 204 if script == "beside" and number(request) != count else status
        sink = opened(f"{webhook.url}#connections=1")
        try:
            return kinds(sink.send(messages(webhook, count, keys=count)))[-1]
        except AccessRefusedError:
            return "no access"
        except SinkDownError:
            return "down"

    assert [outcome("beside", 2), outcome("only", 1), outcome("several", 2)] == [beside, only, several]


def test_a_refused_event_holds_back_its_key_alone(webhook: Webhook, opened: Open) -> None:
    sent = messages(webhook, 40, keys=4)
    webhook.script = lambda request: 422 if number(request) == 9 else 204
    deliveries = opened(webhook.url).send(sent)
    held = [n for n in range(9, 41) if n % 4 == 1]
    assert [n for n, d in enumerate(deliveries, 1) if d is not None] == held
    assert kinds(deliveries)[8] == "final"
    assert {kinds(deliveries)[n - 1] for n in held[1:]} == {"Unsent"}
    assert same([m for n, m in enumerate(sent, 1) if n not in held], webhook.received(31))


def test_retry_after_is_passed_on(webhook: Webhook, opened: Open) -> None:
    webhook.answer_headers = {"Retry-After": "17"}
    webhook.script = lambda request: 503 if number(request) == 2 else 200
    assert list(opened(webhook.url).send(messages(webhook, 2, keys=2)))[1] == Refused("HTTP 503", after=17)


def test_a_limit_is_respected(webhook: Webhook, opened: Open) -> None:
    """After a 429 nothing more is sent, in this call or before the time that was asked for."""
    webhook.answer_headers = {"Retry-After": "600"}
    webhook.script = lambda request: 429 if number(request) >= 3 else 200
    sink = opened(f"{webhook.url}#connections=1")
    assert kinds(sink.send(messages(webhook, 6, keys=6))) == ["ok", "ok", *["Unsent"] * 4]
    asked = len(webhook.requests)
    with pytest.raises(SinkDownError, match="asks to wait for another"):
        sink.send(messages(webhook, 1))
    assert (asked, len(webhook.requests)) == (3, 3)


def test_a_lost_answer_is_asked_for_again_with_the_same_id(webhook: Webhook, opened: Open) -> None:
    cut: list[str] = []

    def script(request: Request) -> int | None:
        if number(request) == 2 and not cut:
            cut.append(request.headers["idempotency-key"])
            return None
        return 200

    webhook.script = script
    assert kinds(opened(webhook.url).send(messages(webhook, 3))) == ["ok"] * 3
    assert Counter(request.headers["idempotency-key"] for request in webhook.requests)["id-2"] == 2


def test_an_event_that_kills_the_receivers_worker_is_to_blame(webhook: Webhook, opened: Open) -> None:
    webhook.script = lambda request: None if number(request) == 2 else 200
    assert kinds(opened(webhook.url).send(messages(webhook, 3, keys=3))) == ["ok", "Refused", "ok"]


def test_a_receiver_that_cuts_every_connection_is_down(webhook: Webhook, opened: Open) -> None:
    webhook.script = lambda _: None
    with pytest.raises(SinkDownError, match="no answer"):
        opened(webhook.url).send(messages(webhook, 30, keys=30))
    assert len(webhook.requests) < 60  # it has not tried them all


def test_one_that_is_slow_at_one_event(webhook: Webhook, opened: Open) -> None:
    def late(request: Request) -> int:
        webhook.late = 3.0 if number(request) == 2 else 0.0
        return 200

    webhook.script = late
    sink = opened(f"{webhook.url}#timeout=500ms&connections=1")
    assert kinds(sink.send(messages(webhook, 2, keys=2))) == ["ok", "Refused"]


def test_nobody_there(opened: Open) -> None:
    sink = opened(f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(SinkDownError, match="Connection refused"):
        sink.send([message("t", 1)])
    with pytest.raises(SinkDownError, match=r"not known|name resolution"):
        opened("http://no-such-host.invalid/").send([message("t", 1)])


def test_it_comes_back(webhook: Webhook, opened: Open) -> None:
    """The same sink, once the receiver has recovered."""
    sink = opened(webhook.url)
    webhook.script = lambda _: 503
    with pytest.raises(SinkDownError):
        sink.send(messages(webhook, 3))
    webhook.script = lambda _: 200
    assert kinds(sink.send(messages(webhook, 3))) == ["ok"] * 3


def test_several_connections_are_used_and_kept(webhook: Webhook, opened: Open) -> None:
    webhook.late = 0.02
    sink = opened(f"{webhook.url}#connections=4")
    for _ in range(2):
        sink.send(messages(webhook, 20, keys=20))
    assert webhook.most_at_once == 4
    assert len({request.client for request in webhook.requests}) == 4


@contextmanager
def raw(answer: bytes) -> Iterator[str]:
    """A server that says just these bytes to everybody, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):  # who asked may be gone, for having read enough
                    client.recv(65536)
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "ok"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, "ok"),
        (b"HTTP/1.1 20", "Refused"),
        (b"220 mail.example.org ESMTP\r\n", "Refused"),
        (b"", "Refused"),
    ],
)
def test_strange_answers(opened: Open, answer: bytes, kind: str) -> None:
    with raw(answer) as url:
        assert kinds(opened(url).send([message("t", 1)])) == [kind]


def test_a_structured_event(webhook: Webhook, opened: Open) -> None:
    body = b'{"total": 12345678901234567890.10, "name": "\xc3\xa4"}'
    sent = Message("e-1", "order.paid", "order/7", {"ce-time": "2026-01-01T00:00:00Z", "x-trace": "t1"}, body)
    opened(f"{webhook.url}#source=/shop").send([sent])
    (request,) = webhook.requests
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.event == {
        "specversion": "1.0", "id": "e-1", "type": "order.paid", "source": "/shop", "subject": "order/7",
        "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json", "data": json.loads(body),
    }  # fmt: skip
    assert body in request.body  # as it was: no number has been rounded
    assert (request.path, request.headers["x-trace"]) == ("/in?tenant=7", "t1")
    assert request.headers["idempotency-key"] == "e-1"


@pytest.mark.parametrize(
    ("body", "kind", "member"),
    [
        (b"plain", "text/plain", {"data": "plain"}),
        (b"NaN", "text/plain", {"data": "NaN"}),
        (b"\xff\x00", "application/octet-stream", {"data_base64": "/wA="}),
        (b"", "text/plain", {"data": ""}),
    ],
)
def test_bodies_that_are_no_json(webhook: Webhook, opened: Open, body: bytes, kind: str, member: object) -> None:
    opened(webhook.url).send([Message("1", "t", "k", {}, body)])
    event = webhook.requests[0].event
    assert (event.pop("datacontenttype"), {k: v for k, v in event.items() if k.startswith("data")}) == (kind, member)


def test_a_binary_event(webhook: Webhook, opened: Open) -> None:
    sent = Message("e-1", "bezahlt%", "Ähre", {"Content-Type": "application/avro"}, b"\x00\x01")
    opened(f"{webhook.url}#format=binary").send([sent])
    (request,) = webhook.requests
    told = {name: value for name, value in request.headers.items() if name.startswith("ce-")}
    assert told == {
        "ce-specversion": "1.0", "ce-id": "e-1", "ce-type": "bezahlt%25", "ce-source": "batchops",
        "ce-subject": "%C3%84hre",
    }  # fmt: skip
    assert (request.headers["content-type"], request.body) == ("application/avro", b"\x00\x01")


def test_a_signature_can_be_verified(webhook: Webhook, opened: Open, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("whsec_" + base64.b64encode(b"very secret").decode() + "\n")
    file.chmod(0o600)
    opened(f"{webhook.url}#secret=file:{file}").send(messages(webhook, 1))
    opened(f"{webhook.url}#secret=env:HOOK", HOOK="very secret").send(messages(webhook, 1))
    for request in webhook.requests:
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = base64.b64encode(hmac.digest(b"very secret", signed, hashlib.sha256)).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"


def test_credentials_go_along(webhook: Webhook, opened: Open) -> None:
    opened(f"{webhook.url}#token=env:TOKEN", TOKEN="t0k3n").send(messages(webhook, 1))
    opened(webhook.url.replace("://", "://ann:p%40ss@")).send(messages(webhook, 1))
    basic = base64.b64encode(b"ann:p@ss").decode()
    assert [request.headers["authorization"] for request in webhook.requests] == ["Bearer t0k3n", f"Basic {basic}"]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("#secret=abc", "does not take the secret itself"),
        ("#secret=env:NOT_SET", "no environment variable"),
        ("#secret=env:BAD", "not base64"),
        ("#format=avro", "none of structured, binary"),
        ("#timeout=5", "has no unit"),
        ("#timeout=0s", "greater than 0"),
        ("#connections=0", "not a number from 1 to 256"),
        ("#connections=2&connections=3", "twice"),
    ],
)
def test_options_that_cannot_be_used(end: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sink_of(f"http://localhost/{end}", {"BAD": "whsec_?"})


@pytest.mark.parametrize("url", ["http://", "http:///x", "http://a:b@c@d/", "http://h:99999/", "http://h h/", "x://y"])
def test_addresses_that_cannot_be_read(url: str) -> None:
    with pytest.raises(UsageError):
        sink_of(url, {})


@pytest.mark.parametrize(
    "bad",
    [
        {"x\r\ny": "1"}, {"x": "a\r\nb: c"}, {"Content-Length": "3"}, {"x": "a\x7f"}, {"ce-Two Words": "1"},
    ],
)  # fmt: skip
def test_a_header_that_cannot_travel_is_that_events_fault(webhook: Webhook, opened: Open, bad: dict[str, str]) -> None:
    sent = [Message("1", "t", "a", {}, b"1"), Message("2", "t", "b", bad, b"2"), Message("3", "t", "c", {}, b"3")]
    assert kinds(opened(webhook.url).send(sent)) == ["ok", "final", "ok"]


def test_tls_is_verified(tmp_path: Path, opened: Open) -> None:
    both = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    with Webhook(both) as webhook:
        with pytest.raises(SinkDownError, match="certificate is not trusted") as raised:
            opened(webhook.url).send(messages(webhook, 1))
        assert "#ca=" in raised.value.hint
        assert kinds(opened(f"{webhook.url}#ca={tmp_path / 'cert.pem'}").send(messages(webhook, 1))) == ["ok"]
        with pytest.raises(UsageError, match="ca file"):
            sink_of(f"{webhook.url}#ca={tmp_path / 'nothing'}", {})
    with Webhook() as plain, pytest.raises(SinkDownError, match="TLS was refused"):
        opened(plain.url.replace("http:", "https:")).send(messages(plain, 1))


def test_no_secret_shows(webhook: Webhook, opened: Open) -> None:
    webhook.script = lambda _: 401
    url = webhook.url.replace("://", "://ann:S3CR3T@").replace("tenant=7", "key=S3CR3T")
    sink = opened(f"{url}#token=env:TOKEN".replace("ann:S3CR3T@", ""), TOKEN="S3CR3T")
    for each in (sink, opened(url)):
        with pytest.raises(SinkDownError) as raised:
            each.send(messages(webhook, 1))
        assert "S3CR3T" not in f"{raised.value!r} {raised.value.hint} {each!r} {vars(raised.value)}"
