"""Files and standard output as destinations."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchops.errors import UsageError
from batchops.outbox.sinks import Message, SinkDownError
from batchops.outbox.sinks.registry import sink_of
from tests.command import Batchops


def message(number: int, body: bytes = b"{}") -> Message:
    return Message(str(number), "orders", f"order {number % 3}", {"event_type": "Paid"}, body)


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_an_event(tmp_path: Path) -> None:
    bodies = [b'{"total": 3}', "Grüße\x00\n".encode(), b"\xff\xfe", b""]
    sink = sink_of(f"file:{tmp_path}/out", {})
    sink.open()
    assert sink.send([message(n, body) for n, body in enumerate(bodies)]) == [None] * 4
    sink.close()
    sink.close()
    lines = told(tmp_path / "out")
    assert lines[0] == {
        "id": "0", "topic": "orders", "key": "order 0", "headers": {"event_type": "Paid"}, "body": '{"total": 3}',
    }  # fmt: skip
    assert [line.get("body") for line in lines] == ['{"total": 3}', "Grüße\x00\n", None, ""]
    assert lines[2]["body_base64"] == "//4="


@pytest.mark.parametrize("torn", ['{"id": "9', '{"id": "9"}', "x" * 200_000])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "out"
    path.write_text('{"id": "1"}\n' + torn)
    sink = sink_of(f"file:{path}", {})
    sink.send([message(2)])
    assert [line["id"] for line in told(path)] == ["1", "2"]


def test_several_share_a_file(tmp_path: Path) -> None:
    def write(first: int) -> None:
        sink = sink_of(f"file:{tmp_path}/out", {})
        for batch in range(20):
            sink.send([message(first + batch * 10 + n) for n in range(10)])

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [int(str(line["id"])) for line in told(tmp_path / "out")]
    assert sorted(ids) == sorted(first + n for first in (0, 1000, 2000) for n in range(200))
    assert all(
        [n for n in ids if n // 1000 == part] == sorted(n for n in ids if n // 1000 == part) for part in range(3)
    )


def test_a_file_that_another_process_keeps_locked_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that was stopped in the middle of a write held up all others, which did not say why."""
    monkeypatch.setattr("batchops.outbox.sinks.file.LONGEST_WAIT", 0.05)
    path = tmp_path / "out"
    sink = sink_of(f"file:{path}", {})
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SinkDownError, match="another process has kept it locked"):
            sink.send([message(1)])
    sink.send([message(1)])
    assert [line["id"] for line in told(path)] == ["1"]


def test_a_rotated_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = sink_of(path.as_uri(), {})
    sink.send([message(1)])
    path.rename(tmp_path / "out.1")
    sink.send([message(2)])
    assert ([line["id"] for line in told(tmp_path / "out.1")], [line["id"] for line in told(path)]) == (["1"], ["2"])


def test_a_full_disk_leaves_no_half_batch() -> None:
    sink = sink_of("file:/dev/full", {})
    with pytest.raises(SinkDownError, match="No space left"):
        sink.send([message(1)])


@pytest.mark.parametrize("url", ["file:", "file:{}", "file:{}/no/such", "file://elsewhere/x", "gopher://x", "x", ""])
def test_what_is_no_destination(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="--to"):
        sink_of(url.format(tmp_path), {}).open()


def test_standard_output(batchops: Batchops) -> None:
    program = (
        "from batchops.outbox.sinks import Message\nfrom batchops.outbox.sinks.registry import sink_of\n"
        "print(sink_of('-', {}).send([Message('1', 't', 'k', {}, b'x')] * 2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=batchops.environment() | dict(os.environ)
    )
    lines = done.stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines[:2]] == ["1", "1"]
    assert lines[2:] == ["[None, None]"]
