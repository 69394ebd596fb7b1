"""Every case, by its script: what it prints is what is kept beside it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.command import environment
from tests.forking import Forks
from tests.services.server import Server
from tests.services.session import Services

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("*-*.sh"))
FULL = frozenset(
    {
        "bulk-01-condition-reads-its-own-table",
        "bulk-02-leaf-rows-then-their-parents",
        "bulk-05-every-row-refused",
        "bulk-08-a-random-value-for-each-row",
        "bulk-10-orphans-refused-and-slow",
        "bulk-11-scan-refusal-wrong-way-out",
        "bulk-12-drop-partitions-not-proved",
        "bulk-14-messages-that-mislead",
        "bulk-15-updated-at-changes-too",
        "queue-01-key-types",
        "queue-02-slots-lone-relay",
        "queue-03-sent-column",
        "queue-04-order-desc",
        "queue-05-amqp-large-headers",
        "queue-06-failure-text",
        "queue-08-sigterm-ten-seconds",
        "queue-09-exec-children",
        "queue-11-columns-of-that-name",
        "queue-12-failures-unsaid",
        "queue-15-column-grants",
        "queue-16-outboxes-without-number",
    }
)
"""Cases whose kind another quick test has, and that take long."""
CLIENTS = {"new_postgresql": "psql", "new_mariadb": "mariadb", "$(L ": "sqlite3"}
"""Programs that a script calls, by what stands in it."""
_VARYING = (
    (r"\b127\.0\.0\.1:\d+", "SERVER"),
    (r"\b(in|after) (\d[\d.,]* (ms|s|min|h|d)( \d+ s)?)(?= |,|:|;|$)", r"\1 …"),
    (r" \(\d[\d.]*( [kMG])?/s\)", ""),
    (r", [\d,]+ batch(es)?", ""),
    (r"^ *warning:? +(Session \d+|Prepared transaction|Replication slot) .*\n", ""),  # other tests' on the same server
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00(:00)?|Z)?", "…"),
)
"""What is another at each run: times, speeds, sizes of batches."""


_CASES = [
    pytest.param(script, id=script.stem, marks=pytest.mark.full if script.stem in FULL else ()) for script in SCRIPTS
]


@pytest.mark.wide(3)
@pytest.mark.parametrize("script", _CASES)
def test_what_a_case_prints(
    script: Path, service: Callable[[str], Server], services: Services, forks: Forks, tmp_path: Path
) -> None:
    for what, client in CLIENTS.items():
        if what in script.read_text() and shutil.which(client) is None:
            pytest.skip(f"no {client} on PATH")
    database = f"batchops_{services.id}_{'_'.join(script.stem.split('-')[:2])}"  # removed with the session's others
    printed = said(script, database, places(script, service), forks, tmp_path)
    expected = script.with_suffix(".expected")
    if os.environ.get("BATCHOPS_TEST_WRITE_CASES"):
        expected.write_text(printed)
    assert printed == expected.read_text()


def places(script: Path, service: Callable[[str], Server]) -> dict[str, str]:
    """Where the script finds the servers that it uses, as servers.sh wants it."""
    text, found = script.read_text(), dict[str, str]()
    if "new_postgresql" in text:
        at = make_url(service("postgresql").url)
        found |= {"PGHOST": at.host or "", "PGPORT": str(at.port), "PGUSER": at.username or ""}
        found |= {"PGPASSWORD": str(at.password)}
    if "new_mariadb" in text:
        at = make_url(service("mariadb").url)
        found |= {
            "MARIADB_OPTIONS": f"--no-defaults --host={at.host} --port={at.port} --user={at.username}",
            "MYSQL_PWD": str(at.password), "MYSQL_URL": service("mariadb").url.rstrip("/"),
        }  # fmt: skip
    if "AMQP_URL" in text:
        found["AMQP_URL"] = service("rabbitmq").url
    return found


def said(script: Path, database: str, places: dict[str, str], forks: Forks, folder: Path) -> str:
    """What it prints, on both streams, without what varies."""
    path = os.pathsep.join([str(HERE / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    home = folder / "home"
    home.mkdir()
    env = environment(home) | places | {
        "PATH": path, "TMPDIR": str(folder), "CASE_DATABASE": database, "PGTZ": "UTC",
        "BATCHOPS_FORKS": str(forks.channel.fileno()),
    }  # fmt: skip
    ended = subprocess.run(
        ["bash", str(script)], env=env, cwd=folder, pass_fds=[forks.channel.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    text = ended.stdout.replace(database, "DATABASE")
    text = re.sub(re.escape(str(folder)) + r"/tmp\.\w+", "FOLDER", text)
    for what, instead in _VARYING:
        text = re.sub(what, instead, text, flags=re.MULTILINE)
    return text
