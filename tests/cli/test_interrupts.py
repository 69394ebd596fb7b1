"""What Ctrl-C ends is told as it is: nothing was changed only where that is so, and what was done stays done."""

import contextlib
import json
import select
import signal
import socket
import threading
from collections.abc import Iterator

import pexpect
import pytest

from tests.command import Batchops, hear_interrupts
from tests.databases.numbered import numbered
from tests.services.database import Database


class Deaf:
    """A host that takes connections and never answers."""

    def __init__(self, server: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}/secret"
        self.heard: list[bytes] = []


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        host = Deaf(server)

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = stack.enter_context(server.accept()[0])
                    host.heard.append(client.recv(65536))

        threading.Thread(target=take, daemon=True).start()
        yield host
        server.shutdown(socket.SHUT_RDWR)


def test_ctrl_c_while_pings_are_sent(batchops: Batchops, sqlite: Database, deaf: Deaf) -> None:
    numbered(sqlite, 100)
    args = ("purge", "t", "--url", sqlite.url, "--where", "id > 0", "-y", "--json", "--ping", deaf.url)
    run = batchops.start(*args, preexec_fn=hear_interrupts)
    assert run.stdout is not None
    assert run.stderr is not None
    document = json.loads(run.stdout.readline())  # from here on only pings are to be sent
    told = False
    while not told:
        run.send_signal(signal.SIGINT)  # the first may still come before the waiting has begun
        ready, _, _ = select.select([run.stderr], [], [], 0.3)
        told = bool(ready) and "not sent" in run.stderr.readline()
    rest, said = run.communicate()
    assert (document["rows"], document["reason"]) == (100, "done")
    assert (run.returncode, rest, said.strip()) == (0, "", "")


def test_ctrl_c_at_the_question(batchops: Batchops, sqlite: Database) -> None:
    numbered(sqlite, 100)
    program, *args = batchops.argv("purge", "t", "--url", sqlite.url, "--where", "id > 0")
    child = pexpect.spawn(
        program, args, env=batchops.environment(), encoding="utf-8", preexec_fn=hear_interrupts, timeout=60
    )  # fmt: skip
    child.expect("Delete these rows")
    child.sendintr()
    child.expect("Interrupted; nothing was changed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert sqlite.scalar("SELECT count(*) FROM t") == 100
