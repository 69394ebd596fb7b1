"""A server in a container, through testcontainers."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.services.server import Server, UnavailableError, answer

ANSWER_SECONDS = 2


def start(
    name: str,
    image: str,
    port: int,
    settings: Mapping[str, str],
    command: str,
    url: str,
    version: Callable[[str], str],
) -> Server:
    """Run `image`; `url` holds the places {host} and {port}; `version` asks the server."""
    _ping()
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_exposed_ports(port)
    if command:
        container.with_command(command)
    for key, value in settings.items():
        container.with_env(key, value)
    try:
        container.start()
        address = url.format(host=container.get_container_host_ip(), port=container.get_exposed_port(port))
        return Server(name, answer(version, address), address, f"container {image}", container.stop)
    except Exception as error:  # docker, requests and testcontainers each raise their own
        container.stop()
        raise UnavailableError(f"container {image}: {type(error).__name__}: {error}") from error


def _ping() -> None:
    """A Docker engine that is not there must cost no time."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        raise UnavailableError("no Docker")
    try:
        import docker  # type: ignore[import-untyped]  # it has no types

        client = docker.from_env(timeout=ANSWER_SECONDS)
        try:
            client.ping()
        finally:
            client.close()
    except Exception as error:  # as above, and a missing package
        raise UnavailableError(f"no Docker ({type(error).__name__})") from error
