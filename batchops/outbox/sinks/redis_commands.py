"""Commands as Redis reads them, each written in one go: the Python client copies all before it for each argument."""

from collections.abc import Sequence

import redis
from redis.utils import HIREDIS_AVAILABLE

Argument = str | bytes | int | float


class CommandPacker:
    """Takes the place of the client's own."""

    def pack(self, name: str, *arguments: Argument) -> Sequence[bytes]:
        """The command; `name` may be of two words, which the server takes as two arguments."""
        written = [*name.encode().split(), *map(_bytes, arguments)]
        return [b"*%d\r\n" % len(written) + b"".join([b"$%d\r\n%b\r\n" % (len(one), one) for one in written])]


def write_quickly(client: redis.Redis) -> None:
    """Have the client's connections write commands so; where hiredis is installed that does it, in C."""
    if not HIREDIS_AVAILABLE:
        client.connection_pool.connection_kwargs["command_packer"] = CommandPacker()


def _bytes(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return argument.encode() if isinstance(argument, str) else repr(argument).encode()
