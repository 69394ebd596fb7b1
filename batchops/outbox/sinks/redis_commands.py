"""Encodes commands for Redis in one step. The Python client copies the command so far for each further argument."""

from collections.abc import Sequence

import redis
from redis.utils import HIREDIS_AVAILABLE

Argument = str | bytes | int | float


class CommandPacker:
    """Encodes commands in place of the client's own packer."""

    def pack(self, name: str, *arguments: Argument) -> Sequence[bytes]:
        """Return the encoded command. A `name` of two words is sent as two arguments, as the server expects."""
        written = [*name.encode().split(), *map(_bytes, arguments)]
        return [b"*%d\r\n" % len(written) + b"".join([b"$%d\r\n%b\r\n" % (len(one), one) for one in written])]


def write_quickly(client: redis.Redis) -> None:
    """Make the client encode commands this way, unless hiredis is installed: that encodes them in C."""
    if not HIREDIS_AVAILABLE:
        client.connection_pool.connection_kwargs["command_packer"] = CommandPacker()


def _bytes(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return argument.encode() if isinstance(argument, str) else repr(argument).encode()
