"""Handlers outside the process: programs and HTTP, judged by what the queue's rows become."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.queue.jobs import drain, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

EACH = """
import json, sys
row = json.load(sys.stdin)
if row["id"] == 3:
    sys.exit("job 3 is odd")
open(sys.argv[1], "a").write(f"{row['id']}\\n")
"""
STAYS_UP = """
import json, os, sys
for line in sys.stdin:
    row = json.loads(line)
    if row["id"] == 13 and "die" in sys.argv:
        os._exit(9)
    bad = row["id"] % 10 == 7
    print(json.dumps({"error": f"job {row['id']} is odd"} if bad else {"ok": True}), flush=True)
"""
WHOLE = """
import json, sys
rows = []
for line in sys.stdin:
    rows.append(json.loads(line))
    print("null", flush=True)
    assert rows[-1]["payload"] == f"job number {rows[-1]['id']}"
"""


def prepared(database: Database, rows: int) -> None:
    jobs(database, rows)
    leased(database)


def program(folder: Path, text: str, *args: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return " ".join([sys.executable, str(path), *args])


def test_a_program_once_a_row(sqlite: Database, tmp_path: Path) -> None:
    prepared(sqlite, 6)
    ran = tmp_path / "ran"
    document = drain(sqlite, "--exec", program(tmp_path, EACH, str(ran))).json()
    assert (document["rows"], document["waiting"]) == (5, 1)
    assert ran.read_text().split() == ["1", "2", "4", "5", "6"]
    assert sqlite.column("SELECT failure FROM jobs WHERE id = 3") == ["exit 1: job 3 is odd"]


def test_a_program_that_hangs_is_killed(sqlite: Database) -> None:
    prepared(sqlite, 1)
    document = drain(sqlite, "--exec", "sleep 60", "--deadline", "1s").json()
    assert (document["rows"], document["waiting"]) == (0, 1)
    assert "did not end within 0.5 s" in sqlite.scalar("SELECT failure FROM jobs")


def test_a_program_that_stays_up(sqlite: Database, tmp_path: Path) -> None:
    prepared(sqlite, 200)
    document = drain(sqlite, "--exec-batch", program(tmp_path, STAYS_UP), "--workers", "2").json()
    assert (document["rows"], document["waiting"]) == (180, 20)
    assert sqlite.scalar("SELECT failure FROM jobs WHERE id = 7") == "job 7 is odd"


def test_a_program_that_one_row_kills(sqlite: Database, tmp_path: Path) -> None:
    prepared(sqlite, 100)
    document = drain(sqlite, "--exec-batch", program(tmp_path, STAYS_UP, "die")).json()
    assert (document["rows"], document["waiting"]) == (89, 11)
    assert sqlite.scalar("SELECT failure FROM jobs WHERE id = 13") == "the program ended without an answer to this row"


def test_whole_rows_of_every_database(database: Database, tmp_path: Path) -> None:
    prepared(database, 50)
    result = drain(database, "--exec-batch", program(tmp_path, WHOLE))
    assert (result.code, states(database)) == (0, {"done": 50}), result.err


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers each job with the status that stands for it; keeps what came."""

    answers: dict[int, int]
    came: list[dict[str, Any]]

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.came.append(row)
        status = self.answers.get(row["id"], 204)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "3600")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def listening(answers: dict[int, int]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    came: list[dict[str, Any]] = []
    handler = type("Answers", (Scripted,), {"answers": answers, "came": came})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/hook", came
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [401, 407])
def test_credentials_that_are_refused_are_no_rows_fault(sqlite: Database, status: int) -> None:
    """The rows before it are done, the others free again; nothing is given up on, and the drain ends at once."""
    prepared(sqlite, 8)
    with listening(dict.fromkeys(range(5, 9), status)) as (url, came):
        result = drain(sqlite, "--post", url, "--failed", "status = 'failed'", "--poll", "1s")
    assert (result.code, result.json()["reason"], result.json()["rows"]) == (10, "unreachable", 4), result
    assert f"refuses the credentials (HTTP {status})" in result.json()["error"]["message"]
    assert [row["id"] for row in came] in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 5])
    assert sqlite.rows("SELECT DISTINCT status, lease, attempts, failure FROM jobs WHERE id > 4") == [
        ("pending", None, 0, None)
    ]


def test_posts_by_status(sqlite: Database) -> None:
    prepared(sqlite, 8)
    answers = {2: 404, 3: 500, 4: 429, 5: 302, 6: 201, 7: 408}
    with listening(answers) as (url, came):
        result = drain(sqlite, "--post", url, "--failed", "status = 'failed'", "--backoff", "5s")
    assert result.code == 3
    assert [row["id"] for row in came] == list(range(1, 9))
    found = dict(sqlite.rows("SELECT id, status FROM jobs"))
    assert {job for job, status in found.items() if status == "done"} == {1, 6, 8}
    assert {job for job, status in found.items() if status == "failed"} == {2, 5}
    waits = dict(
        sqlite.rows("SELECT id, next_at - (julianday('now') - 2440587.5) * 86400 FROM jobs WHERE id IN (3, 4)")
    )
    assert waits[3] < 60 < 3_000 < waits[4]
