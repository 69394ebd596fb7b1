"""The digest that proves that rows are the same: of their canonical lines, in any order."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from struct import unpack

_UNMEASURED = 1_024
"""The most lines that are read before their size is checked."""
_EMPTY = blake2b(digest_size=16)
_MASK = (1 << 128) - 1


class RowsDigest:
    """The sum, mod 2^128, of the 128-bit BLAKE2b hashes of canonical lines, and how many there were.

    It is equal for the same lines in any order. A line that occurs twice counts twice.
    """

    __slots__ = ("_sum", "rows")

    def __init__(self, text: str = "0", rows: int = 0) -> None:
        """`text` and `rows`: the `str()` and the count of a digest to continue."""
        self._sum = int(text, 16)
        self.rows = rows

    def add(self, lines: Sequence[bytes]) -> None:
        """Add lines, without their line ends."""
        halves = unpack(f"<{2 * len(lines)}Q", b"".join(map(_hash, lines)))
        self._sum = (self._sum + sum(halves[::2]) + (sum(halves[1::2]) << 64)) & _MASK
        self.rows += len(lines)

    def add_hash(self, hash: int) -> None:
        """Add a line, given by its `hash_of`."""
        self._sum = (self._sum + hash) & _MASK
        self.rows += 1

    def merge(self, other: "RowsDigest") -> None:
        """Add all lines of another digest."""
        self._sum = (self._sum + other._sum) & _MASK
        self.rows += other.rows

    def __str__(self) -> str:
        return f"{self._sum:032x}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowsDigest) and (self._sum, self.rows) == (other._sum, other.rows)

    def __hash__(self) -> int:
        return hash((self._sum, self.rows))


def digest_of(lines: Iterable[bytes]) -> RowsDigest:
    """Return the digest of the lines."""
    digest = RowsDigest()
    digest.add([*lines])
    return digest


def hash_of(line: bytes) -> int:
    """Return the hash that a line adds to a digest."""
    return int.from_bytes(_hash(line), "little")


def _hash(line: bytes) -> bytes:
    own = _EMPTY.copy()  # takes two thirds of the time of a new one with its parameters
    own.update(line)
    return own.digest()


def blocks_of(lines: Iterable[bytes], most_lines: int, most_bytes: int) -> Iterator[list[bytes]]:
    """Yield the lines in blocks of limited lines and bytes. A single long line may exceed the bytes."""
    rest, block, size = iter(lines), list[bytes](), 0
    most = 1
    while part := [*islice(rest, most)]:
        weight = sum(map(len, part))
        block += part
        size += weight
        if size >= most_bytes or len(block) >= most_lines:
            yield block
            block, size = [], 0
        most = max(1, min(2 * most, most_lines - len(block), _UNMEASURED, most_bytes * len(part) // max(1, weight)))
    if block:
        yield block
