"""What waits to be pinged neither grows nor ages, and no host keeps another waiting, nor the end of the run."""

import http.client
import threading
from collections.abc import Callable

import pytest

from batchops.events import Finished, Started
from batchops.reporters.pings import STALE, Pings, PingSender

START = Started(None, "purge", "t", "key", False, None, None)


def end(code: int = 0) -> Finished:
    return Finished("purge", "t", "failed" if code else "done", code, "0")


class Host:
    """Takes pings once the gate is open; the clock stands still until it is told to move."""

    def __init__(self, error: Exception | None = None) -> None:
        self.now = 0.0
        self.taken: list[str] = []
        self.warned: list[str] = []
        self.gate, self.arrived = threading.Event(), threading.Event()
        self._error = error
        self.post = PingSender(self.warned.append, lambda: self.now, self._take)

    def _take(self, url: str, _: bytes) -> None:
        self.arrived.set()
        if "dead" in url:
            self.gate.wait()
        if self._error is not None:
            raise self._error
        self.taken.append(url.partition("?")[0])


def until(state: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not state():
        pause.wait(0.002)


def test_of_those_that_wait_the_newest_of_each_kind_is_kept_in_order() -> None:
    host = Host()
    pings = Pings("http://dead.example/a", host.post)
    pings(START)
    host.arrived.wait()
    for code in (0, 0, 1, 0, 0):
        pings(end(code))
        pings(START)
    host.gate.set()
    host.post.close()
    assert host.taken == [f"http://dead.example/a{path}" for path in ("/start", "/1", "", "/start")]


def test_jobs_do_not_take_each_others_place() -> None:
    host = Host()
    first, *others = [Pings(f"http://dead.example/{name}", host.post) for name in "abc"]
    first(START)
    host.arrived.wait()
    for one in others:
        one(START)
        one(end())
    host.gate.set()
    host.post.close()
    assert len(host.taken) == 5


def test_what_has_waited_too_long_is_not_sent() -> None:
    host = Host()
    pings = Pings("http://dead.example/a", host.post)
    pings(START)
    host.arrived.wait()
    pings(end())
    host.now = STALE + 1
    pings(START)
    host.gate.set()
    host.post.close()
    assert host.taken == ["http://dead.example/a/start"] * 2
    assert len(host.warned) == 1


def test_a_dead_host_does_not_keep_another_waiting() -> None:
    host = Host()
    Pings("http://dead.example/a", host.post)(START)
    Pings("http://live.example/a", host.post)(START)
    until(lambda: host.taken == ["http://live.example/a/start"])
    host.gate.set()
    host.post.close()


def test_the_end_waits_no_longer_than_it_may() -> None:
    host = Host()
    pings = Pings("http://dead.example/a", host.post)
    pings(START)
    host.arrived.wait()
    pings(end())
    host.post.close(longest=0.0)
    assert host.warned == ["warning: 2 pings were not sent."]
    host.gate.set()


def test_ctrl_c_ends_the_waiting_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    Pings("http://dead.example/a", host.post)(START)
    host.arrived.wait()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        host.post.close()
    assert host.warned == ["warning: 1 ping was not sent."]
    host.gate.set()


@pytest.mark.parametrize(
    "error", [http.client.BadStatusLine("x"), http.client.InvalidURL("x"), RecursionError(), AttributeError("x")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_no_answer_of_a_host_ends_the_thread(error: Exception) -> None:
    host = Host(error)
    pings = Pings("http://odd.example/a", host.post)
    for _ in range(3):
        pings(START)
        pings(end())
    host.post.close()
    assert len(host.warned) == 1
    assert "odd.example did not accept a ping" in host.warned[0]
