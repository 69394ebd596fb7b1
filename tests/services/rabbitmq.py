"""RabbitMQ: a server, and its control program."""

import shutil
import signal
import subprocess
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from tests.services import container, server
from tests.services.private import Private, as_owner, free_port, temporary_folder, unprivileged
from tests.services.server import Found, Server, UnavailableError

NAME = "rabbitmq"
IMAGE = "rabbitmq:3"
LARGEST = 2_000_000
"""Bytes of a message, on a server of our own."""
SETTINGS = f"""
listeners.tcp.1 = 127.0.0.1:{{port}}
max_message_size = {LARGEST}
log.console = true
log.console.level = error
log.file = false
"""


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_RABBITMQ_URL", version, _container, lambda: private().start())


def connect(url: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(url))


def version(url: str) -> str:
    try:
        with connect(url) as connection:
            told = connection._impl.server_properties  # it shows them nowhere else
            return str(told["version"])
    except (AMQPError, OSError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from error


def private() -> Private:
    """A server of our own, ready to `start()`, in seconds; user guest, password guest."""
    owner = unprivileged("rabbitmq")
    folder, port = temporary_folder(owner), free_port()
    (folder / "rabbitmq.conf").write_text(SETTINGS.format(port=port))
    (folder / "plugins").write_text("[].")
    (folder / "environment").write_text("")
    for file in folder.iterdir():
        file.chmod(0o644)
    argv: list[str | Path] = [*_environment(folder, port), _program("rabbitmq-server")]
    url = f"amqp://guest:guest@127.0.0.1:{port}/%2F"
    return Private(NAME, argv, folder, owner, url, version, signal.SIGKILL)


def control(private: Private, *words: str) -> str:
    """What rabbitmqctl says to that, of a server of our own."""
    # From the server's own command: everything before the program is the environment that they share.
    argv = [*private.argv[:-1], _program("rabbitmqctl"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, **as_owner(private.owner, private.folder))
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def write_definitions(private: Private) -> None:
    """Have it write its queues down: it does so a moment later, and a kill before takes a durable queue along."""
    control(private, "eval", "mnesia:sync_log().")


def _environment(folder: Path, port: int) -> list[str]:
    """As words for `env`. Erlang's port mapper stays out of it: one for the whole machine would outlive the tests."""
    distribution = free_port()
    no_mapper = f"-start_epmd false -erl_epmd_port {distribution}"
    return [
        str(shutil.which("env")),
        f"HOME={folder}",
        "RUNNING_UNDER_SYSTEMD=1",  # one process, which can be killed, and no script before it
        f"RABBITMQ_NODENAME=batchops{port}@localhost",
        f"RABBITMQ_MNESIA_BASE={folder}/mnesia",
        f"RABBITMQ_LOG_BASE={folder}/log",
        f"RABBITMQ_CONFIG_FILE={folder}/rabbitmq.conf",
        f"RABBITMQ_ENABLED_PLUGINS_FILE={folder}/plugins",
        f"RABBITMQ_CONF_ENV_FILE={folder}/environment",
        f"RABBITMQ_DIST_PORT={distribution}",
        f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={no_mapper} -kernel inet_dist_use_interface {{127,0,0,1}}",
        f"RABBITMQ_CTL_ERL_ARGS={no_mapper} -dist_listen false",
    ]


def _program(name: str) -> Path:
    """RabbitMQ's own: what a distribution puts on PATH changes the account first."""
    if found := shutil.which(name, path="/usr/lib/rabbitmq/bin") or shutil.which(name):
        return Path(found)
    raise UnavailableError(f"no {name}")


def _container() -> Server:
    url = "amqp://guest:guest@{host}:{port}/%2F"
    return container.start(NAME, IMAGE, 5672, {}, "", url, version)
