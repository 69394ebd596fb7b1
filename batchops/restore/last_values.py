"""Of values that an archive set to NULL in one row again and again: the last one, which the row had at the end."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from batchops.archive.records import ArchivedTable
from batchops.db.exact_text import fields_of, line_of

Blocks = Iterator[list[bytes]]
_Fields = Sequence[bytes | None]


def last_values(blocks: Callable[[], Blocks], table: ArchivedTable) -> Blocks:
    """Yield as many lines as there are, in their order; earlier values of a row are NULL in them.

    `blocks` reads the segment from its beginning, more than once.
    """
    names = [column.name for column in table.columns]
    key, values = [names.index(name) for name in table.key], [names.index(name) for name in table.nulled]
    hashes = _repeated(hash(_key(line, key)) for lines in blocks() for line in lines)
    keys = (_key(line, key) for lines in blocks() for line in lines) if hashes else iter(())
    left = Counter(one for one in keys if hash(one) in hashes)
    for lines in blocks():
        yield [_line(line, key, values, left) for line in lines] if left else lines


def _repeated(hashes: Iterator[int]) -> set[int]:
    """Those that come more than once: a segment may have more rows than fit into memory by their keys."""
    seen, again = set[int](), set[int]()
    for one in hashes:
        (again if one in seen else seen).add(one)
    return again


def _line(line: bytes, key: Sequence[int], values: Sequence[int], left: Counter[_Fields]) -> bytes:
    own = _key(line, key)
    left[own] -= own in left
    if left[own] <= 0:
        return line
    return line_of([None if place in values else value for place, value in enumerate(fields_of(line))])


def _key(line: bytes, places: Sequence[int]) -> _Fields:
    fields = fields_of(line)
    return tuple(fields[place] for place in places)
