"""What proves that rows are the same rows: a digest of their canonical lines that no order changes."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

_LOOKED_AT = 1_024
"""Most lines that are taken before their size is looked at."""
_MASK = (1 << 128) - 1


class RowsDigest:
    """The sum, mod 2^128, of the 128-bit BLAKE2b hashes of canonical lines, and how many there were.

    Equal for the same lines in any order; a line that is there twice counts twice.
    """

    __slots__ = ("_sum", "rows")

    def __init__(self, text: str = "0", rows: int = 0) -> None:
        """`text`: as `str()` gave it, to go on from there."""
        self._sum = int(text, 16)
        self.rows = rows

    def add(self, lines: Sequence[bytes]) -> None:
        """Add lines, without their line ends."""
        read = int.from_bytes
        self._sum = (
            self._sum + sum([read(blake2b(line, digest_size=16).digest(), "little") for line in lines])
        ) & _MASK
        self.rows += len(lines)

    def add_hash(self, hash: int) -> None:
        """Add a line by its `hash_of`."""
        self._sum = (self._sum + hash) & _MASK
        self.rows += 1

    def merge(self, other: "RowsDigest") -> None:
        """Add all lines of another."""
        self._sum = (self._sum + other._sum) & _MASK
        self.rows += other.rows

    def __str__(self) -> str:
        return f"{self._sum:032x}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowsDigest) and (self._sum, self.rows) == (other._sum, other.rows)

    def __hash__(self) -> int:
        return hash((self._sum, self.rows))


def digest_of(lines: Iterable[bytes]) -> RowsDigest:
    """The digest of these lines."""
    digest = RowsDigest()
    digest.add([*lines])
    return digest


def hash_of(line: bytes) -> int:
    """What a line adds to a digest."""
    return int.from_bytes(blake2b(line, digest_size=16).digest(), "little")


def blocks_of(lines: Iterable[bytes], most_lines: int, most_bytes: int) -> Iterator[list[bytes]]:
    """The lines in blocks that are bounded by lines and by bytes, as far as one line of many bytes allows."""
    rest, block, size = iter(lines), list[bytes](), 0
    most = 1
    while part := [*islice(rest, most)]:
        weight = sum(map(len, part))
        block += part
        size += weight
        if size >= most_bytes or len(block) >= most_lines:
            yield block
            block, size = [], 0
        most = max(1, min(2 * most, most_lines - len(block), _LOOKED_AT, most_bytes * len(part) // max(1, weight)))
    if block:
        yield block
