"""From an address to a sink, and what is said where there is none."""

import builtins
import sys
from typing import Any

import pytest

from batchops.errors import UsageError
from batchops.outbox.sinks.registry import sink_of


@pytest.mark.parametrize("url", ["", "kafka", "x://y", "http:x", "http", "C:\\file", "env:", "env:NOTHING", "env:FILE"])
def test_no_destination(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        sink_of(url, {"FILE": "file:x"})
    assert "Traceback" not in raised.value.message


@pytest.mark.parametrize(
    ("url", "hint"),
    [("rabbitmq://h/", "mean amqp://?"), ("kafak://h", "mean kafka://?"), ("redis:/h", "mean redis://?"),
     ("out.jsonl", "file:PATH"), ("kafka", "mean kafka://?"), ("ann:secret@h", "there are kafka://")],
)  # fmt: skip
def test_an_address_that_is_nearly_one(url: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        sink_of(url, {})
    assert hint in raised.value.hint
    assert "secret" not in raised.value.hint


def test_the_address_can_be_kept_elsewhere() -> None:
    sink_of("env:TO", {"TO": "https://ann:secret@localhost/x"}).close()
    sink_of("cmd:echo https://localhost/x", {"PATH": "/bin:/usr/bin"}).close()


@pytest.mark.parametrize(("scheme", "library", "extra"), [("https", "urllib3", "http")])
def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, scheme: str, library: str, extra: str) -> None:
    """The library is hidden; our module has to be imported anew to miss it."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == library or name == f"batchops.outbox.sinks.{extra}":
            monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def hidden(name: str, *args: Any, **more: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(UsageError, match=f"{scheme}:// needs the extra {extra}") as raised:
        sink_of(f"{scheme}://localhost/", {})
    assert raised.value.hint == f"pip install 'batchops[{extra}]'"
