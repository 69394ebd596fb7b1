"""What starts recipes unattended: each file read by its own tool, the cron line and the CI step tried for real."""

import json
import re
import shutil
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cronsim import CronSim

from tests.command import ROOT, Batchops
from tests.recipes.shop import CASES, statements
from tests.services.database import Database

DEPLOY = ROOT / "recipes" / "deploy"
PROGRAM = "/usr/local/bin/batchops"
SYSTEMD = shutil.which("systemd-analyze")
KUBECTL = shutil.which("kubectl")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program called batchops, to be found on a PATH of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "batchops"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m batchops "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def cron_lines() -> list[tuple[str, str]]:
    """The expression and the command of each line."""
    lines = [line for line in (DEPLOY / "crontab").read_text().splitlines() if re.match(r"[\d*]", line)]
    return [(" ".join(line.split(None, 5)[:5]), line.split(None, 5)[5]) for line in lines]


def cron_settings() -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / "crontab").read_text(), re.M))


def tried(command: str, env: dict[str, str], folder: Path) -> tuple[int, str]:
    """As cron does: by /bin/sh, with hardly any environment; what it would mail."""
    little = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SHELL": "/bin/sh", **env}
    both: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["/bin/sh", "-c", command], text=True, cwd=folder, env=little, **both)
    return done.returncode, done.stdout


@pytest.mark.full
def test_the_cron_lines(program: Path, sqlite: Database, tmp_path: Path) -> None:
    """Silent while all is well; one line and the right code when it is not."""
    for statement in statements(CASES["expired-sessions"]):
        sqlite.execute(statement)
    url = tmp_path / "url"
    url.write_text(sqlite.url)
    url.chmod(0o600)
    (expression, nightly), (other, queue) = cron_lines()
    for each in (expression, other):
        assert next(CronSim(each, datetime(2026, 1, 1))) > datetime(2026, 1, 1)
    recipes = {"nightly": "expired-sessions", "queue": "queue-cleanup"}
    commands = []
    for command in (nightly, queue):
        for name, recipe in recipes.items():
            command = command.replace(f"/etc/batchops/{name}.toml", str(ROOT / "recipes" / f"{recipe}.toml"))
        commands.append(command.replace(PROGRAM, str(program)))
    env = {"BATCHOPS_URL": cron_settings()["BATCHOPS_URL"].replace("/etc/batchops/url", str(url))}
    assert tried(commands[0], env, tmp_path) == (0, "")
    assert sqlite.rows(CASES["expired-sessions"].query) == CASES["expired-sessions"].after
    code, mail = tried(commands[1], env, tmp_path)  # there is no table "jobs" here
    assert code == 10
    assert [line.split(":")[0] for line in mail.splitlines()] == ["done", "failed"]
    assert mail.count('There is no table "jobs".') == 2
    url.write_text("sqlite:///nowhere.db")
    code, mail = tried(commands[0], env, tmp_path)
    assert (code, mail.count("\n"), mail.split(":")[0]) == (10, 1, "expired-sessions")


@pytest.mark.full
def test_the_ci_steps(program: Path, sqlite: Database, tmp_path: Path) -> None:
    """Run as GitHub's runner does, from the file; the page gets its table."""
    workflow = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())
    steps: list[dict[str, Any]] = workflow["jobs"]["clean"]["steps"]
    ours = [step for step in steps if step.get("run", "").startswith("batchops")]
    assert workflow[True]["schedule"][0]["cron"]  # YAML 1.1 takes the key `on` for true
    assert len(ours) == 2
    page = tmp_path / "summary.md"
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(page), "CI_DATABASE_URL": sqlite.url}

    def run(step: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(bash, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, env=env)

    check, clean = ours
    checked = run(check)
    assert (checked.returncode, checked.stdout, page.exists()) == (
        0, "recipes/ci-database-cleanup.toml: 3 jobs, no mistakes\n", False,
    )  # fmt: skip
    missing = run(clean)
    assert missing.returncode == 10
    assert missing.stdout.startswith("order-items: purge order_items: there is no such table: There is no")
    assert len(missing.stdout.splitlines()) == 3 - 1  # the orders are skipped: they need their items
    assert page.read_text().count("| order-items | there is no such table: ") == 1
    page.unlink()
    for statement in statements(CASES["ci-database-cleanup"]):
        sqlite.execute(statement)
    well = run(clean)
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    assert [line.split(" | ")[1:4] for line in page.read_text().splitlines()[4:7]] == [
        ["done", "0", "4"], ["done", "0", "3"], ["done", "0", "1"],
    ]  # fmt: skip
    assert sqlite.rows("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd-analyze here")
def test_the_systemd_units(program: Path, tmp_path: Path) -> None:
    assert SYSTEMD is not None
    units = []
    for unit in DEPLOY.glob("batchops-nightly.*"):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(PROGRAM, str(program)))
        units.append(copy)
    done = subprocess.run([SYSTEMD, "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (when,) = re.findall(r"^OnCalendar=(.*)$", (DEPLOY / "batchops-nightly.timer").read_text(), re.M)
    assert subprocess.run([SYSTEMD, "calendar", when], capture_output=True).returncode == 0


def test_the_service_s_command_line(batchops: Batchops, sqlite: Database) -> None:
    for statement in statements(CASES["expired-sessions"]):
        sqlite.execute(statement)
    (line,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "batchops-nightly.service").read_text(), re.M)
    words = line.replace("/etc/batchops/nightly.toml", str(ROOT / "recipes" / "expired-sessions.toml")).split()
    done = batchops(*words[1:], env={"BATCHOPS_URL": sqlite.url})
    assert (words[0], done.code, done.out, done.err) == (PROGRAM, 0, "", "")


def test_the_kubernetes_job(batchops: Batchops, sqlite: Database) -> None:
    job = yaml.safe_load((DEPLOY / "kubernetes-cronjob.yaml").read_text())
    assert (job["kind"], job["spec"]["concurrencyPolicy"]) == ("CronJob", "Forbid")
    assert next(CronSim(job["spec"]["schedule"], datetime(2026, 1, 1)))
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    for statement in statements(CASES["expired-sessions"]):
        sqlite.execute(statement)
    words = [
        w.replace("/recipes/nightly.toml", str(ROOT / "recipes" / "expired-sessions.toml")) for w in container["args"]
    ]
    assert batchops(*words, env={"BATCHOPS_URL": sqlite.url}).code == 0


@pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl here")
def test_kubectl_understands_the_kubernetes_job() -> None:
    assert KUBECTL is not None
    file = DEPLOY / "kubernetes-cronjob.yaml"
    done = subprocess.run(
        [KUBECTL, "set", "image", "--local", "-f", file, "batchops=other", "-o", "json"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    pod = json.loads(done.stdout)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "other"


def test_the_dockerfile(batchops: Batchops) -> None:
    """Its instructions and what it starts; a daemon to build it by is seldom there."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "COPY", "RUN", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in lines} == known
    assert lines[0][0] == "FROM"
    settings = dict(lines)
    assert Path(json.loads(settings["ENTRYPOINT"])[0]).name == "batchops"
    assert batchops(*json.loads(settings["CMD"])).code == 0
    assert int(settings["USER"]) > 0


@pytest.mark.full
def test_docker_builds_it() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip("there is no Docker daemon here")
    done = subprocess.run([docker, "build", "-q", "-f", DEPLOY / "Dockerfile", ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    image = done.stdout.strip()
    said = subprocess.run([docker, "run", "--rm", image, "--version"], capture_output=True, text=True)
    assert said.stdout.startswith("batchops")
