"""A spool of sorted addresses of matching rows: in memory while they are few, else in a temporary file."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from batchops.bulk.strategies.scratch_file import ScratchFile
from batchops.db.addresses import Numbers

_MEMORY = 4_000_000
"""The most numbers that are kept in memory: 32 MB."""
_RUN = 500_000
"""How many numbers are sorted at once, which takes five times their space."""
_SAMPLE = 4_096
"""Every 4,096th address is sampled, to decide where sorted runs are cut when they are merged."""
_BYTES = 8


class _Store(Protocol):
    """A sequence of numbers that does not change."""

    def __len__(self) -> int: ...

    def slice(self, start: int, end: int) -> "array[int]": ...


class _InMemory:
    def __init__(self, numbers: "array[int]") -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def slice(self, start: int, end: int) -> "array[int]":
        return self._numbers[start:end]


class _InFile:
    """The numbers in a stretch of a file."""

    def __init__(self, file: ScratchFile, start: int, length: int) -> None:
        self._file, self._start, self._length = file, start, length

    def __len__(self) -> int:
        return self._length

    def slice(self, start: int, end: int) -> "array[int]":
        numbers = array("q")
        count = min(end, self._length) - start
        if count > 0:
            numbers.frombytes(self._file.read((self._start + start) * _BYTES, count * _BYTES))
        return numbers


class _Run:
    """Sorted addresses."""

    def __init__(self, store: _Store, width: int) -> None:
        self._store, self._width = store, width

    def __len__(self) -> int:
        return len(self._store) // self._width

    def __getitem__(self, place: int) -> Numbers:
        return tuple(self._store.slice(place * self._width, (place + 1) * self._width))

    def slice(self, start: int, end: int) -> "array[int]":
        return self._store.slice(start * self._width, end * self._width)


class AddressSpool:
    """Addresses, each once, in order. `width`: how many numbers make one address.

    One thread fills it; once it is sorted, any number of threads may read it.
    """

    def __init__(self, width: int, memory: int = _MEMORY) -> None:
        self._width, self._memory = width, memory
        self._fresh = array("q")
        self._runs: list[_Run] = []
        self._file: ScratchFile | None = None
        self._written = 0
        """How many numbers are in the file."""
        self._sorted = _Run(_InMemory(array("q")), width)

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def bytes_on_disk(self) -> int:
        """The size of the temporary file."""
        return self._written * _BYTES

    def add(self, numbers: "array[int]") -> None:
        """Add addresses, as flat numbers, in any order."""
        step = max(1, _RUN // self._width) * self._width
        for start in range(0, len(numbers), step):
            self._fresh.extend(numbers[start : start + step])
            if len(self._fresh) >= step:
                self._end_run()

    def sort(self) -> None:
        """Put the addresses in order; all have been added."""
        self._end_run()
        if any(after[0] <= before[len(before) - 1] for before, after in zip(self._runs, self._runs[1:], strict=False)):
            merged, before = _merged(self._runs), self._file
            self._file, self._runs, self._written = None, [], 0
            for part in merged:
                self._keep(part)
            if before is not None:
                before.close()
        self._sorted = self._joined()
        self._runs = []

    def between(self, after: Numbers | None, upto: Numbers | None) -> tuple[int, int]:
        """Return the places of the addresses behind `after`, up to and including `upto`."""
        start = 0 if after is None else bisect_right(self._sorted, after)
        return start, len(self._sorted) if upto is None else bisect_right(self._sorted, upto, lo=start)

    def __getitem__(self, place: int) -> Numbers:
        return self._sorted[place]

    def slice(self, start: int, end: int) -> "array[int]":
        """Return the addresses at these places, as flat numbers."""
        return self._sorted.slice(start, end)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _end_run(self) -> None:
        if self._fresh:
            self._keep(_sorted(self._fresh, self._width))
            self._fresh = array("q")

    def _keep(self, numbers: "array[int]") -> None:
        """Keep a sorted run; all runs go to disk once they hold too many numbers."""
        if self._file is None and (sum(map(len, self._runs)) * self._width + len(numbers)) > self._memory:
            self._file, kept, self._runs = ScratchFile(), self._runs, []
            for run in kept:
                self._write(run.slice(0, len(run)))
        if self._file is None:
            self._runs.append(_Run(_InMemory(numbers), self._width))
        else:
            self._write(numbers)

    def _write(self, numbers: "array[int]") -> None:
        assert self._file is not None  # the caller's condition
        self._file.add(numbers.tobytes())
        self._runs.append(_Run(_InFile(self._file, self._written, len(numbers)), self._width))
        self._written += len(numbers)

    def _joined(self) -> _Run:
        """Return one run from runs that follow each other."""
        if self._file is not None:
            return _Run(_InFile(self._file, 0, self._written), self._width)
        numbers = array("q")
        for run in self._runs:
            numbers.extend(run.slice(0, len(run)))
        return _Run(_InMemory(numbers), self._width)


def _sorted(numbers: "array[int]", width: int) -> "array[int]":
    if width == 1:
        return array("q", sorted(numbers))
    addresses = sorted(zip(*(numbers[i::width] for i in range(width)), strict=True))
    return array("q", chain.from_iterable(addresses))


def _merged(runs: list[_Run]) -> Iterator["array[int]"]:
    """Yield all numbers in order, a part at a time: sorting a part anew is faster than comparing runs one by one."""
    samples = sorted(run[place] for run in runs for place in range(0, len(run), _SAMPLE))
    width = len(samples[0])
    every = max(1, _RUN // width // _SAMPLE)
    starts = [0] * len(runs)
    for cut in [*samples[every::every], None]:
        part = array("q")
        for i, run in enumerate(runs):
            end = len(run) if cut is None else bisect_left(run, cut, lo=starts[i])
            part.extend(run.slice(starts[i], end))
            starts[i] = end
        if part:
            yield _sorted(part, width)
