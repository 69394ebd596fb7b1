"""A store that does not answer: whoever asks the command to end does not wait for it."""

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.bulk.archiving.bucket import Bucket
from tests.bulk.archiving.test_bucket import EVERY, MATCHING, SEGMENT, WHERE, archive, ids
from tests.command import Batchops, hear_interrupts
from tests.crash.scenario import make
from tests.services.database import Database
from tests.services.http_proxy import HttpProxy, Request
from tests.services.s3 import new_bucket
from tests.services.server import Server
from tests.waiting import ended


@pytest.fixture
def bucket(service: Callable[[str], Server]) -> Iterator[Bucket]:
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield Bucket(new_bucket(store), proxy)


class Held:
    """Holds every request of a method for a segment, until the test ends."""

    def __init__(self, bucket: Bucket, method: str) -> None:
        self.first, self.over = threading.Event(), threading.Event()
        self._method = method
        bucket.proxy.treat = self._treat

    def _treat(self, request: Request) -> None:
        if request.method == self._method and SEGMENT.search(request.path.partition("?")[0]):
            self.first.set()
            self.over.wait(120)


@pytest.mark.parametrize("method", ["PUT", pytest.param("GET", marks=pytest.mark.full)])
def test_an_archive_ends_without_the_answer(
    sqlite: Database, bucket: Bucket, batchops: Batchops, method: str
) -> None:  # fmt: skip
    make(sqlite)
    held = Held(bucket, method)
    words = ("archive", "t", "--where", WHERE, "--to", bucket.url, "--url", sqlite.url, "-y", "--format", "jsonl")
    process = batchops.start(*words, env=bucket.env)
    assert held.first.wait(60)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    assert ended(process)[0] == 143
    held.over.set()
    bucket.proxy.treat = lambda _: None
    assert ids(sqlite) == EVERY
    assert archive(sqlite, bucket, "--format", "jsonl", "--json").json()["rows"] == MATCHING
    assert ids(sqlite) | set(bucket.rows()) == EVERY


def test_a_verification_and_a_restore_end_too(sqlite: Database, bucket: Bucket, batchops: Batchops) -> None:
    make(sqlite)
    archive(sqlite, bucket, "--format", "jsonl")
    verify, restore = ("archive", "verify", bucket.url), ("restore", bucket.url, "--url", sqlite.url, "-y")
    for words, signals in ((verify, (signal.SIGINT,)), (restore, (signal.SIGTERM, signal.SIGHUP))):
        held = Held(bucket, "GET")
        process = batchops.start(*words, env=bucket.env, preexec_fn=hear_interrupts)
        assert held.first.wait(60)
        for one in signals:
            process.send_signal(one)
        assert ended(process)[0] == 128 + signals[0]
        held.over.set()
    assert not ids(sqlite) & set(bucket.rows())
