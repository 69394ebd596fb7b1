"""Plain tables on stdout."""

import os
from collections.abc import Sequence

from tests.benchmarks.sides import Measured


def heading(text: str) -> None:
    """A title with the machine's load, without which no figure says much."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n== {text} · {os.cpu_count()} cores, load {load}\n")


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """The first column to the left, the others to the right, the last one as it is."""
    widths = [max(len(line[number]) for line in [columns, *lines]) for number in range(len(columns))]
    for line in [columns, *lines]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)]
        print("  ".join([*cells, line[-1]]).rstrip())
    print(flush=True)


def comparison(results: list[Measured]) -> None:
    """Seconds and rows/s per side, and its rate relative to the first one's."""
    reference = results[0]
    columns = ("side", "seconds", "min–max", "rows/s", f"× {reference.name}", "")
    table(columns, [_line(measured, measured is reference) for measured in results])


def _line(measured: Measured, is_reference: bool) -> tuple[str, ...]:
    if measured.failure:
        return (measured.name, "", "", "", "", f"failed: {measured.failure}")
    if not measured.timings:
        return (measured.name, "", "", "", "", "not run")
    seconds = [timing.seconds for timing in measured.timings]
    ratio = "1" if is_reference else f"{measured.ratio():.2f}"
    span = f"{min(seconds):.2f}–{max(seconds):.2f}"
    figures = (f"{measured.seconds():.2f}", span, f"{measured.rate():,.0f}", ratio)
    return (measured.name, *figures, measured.timings[-1].note)
