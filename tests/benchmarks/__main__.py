"""`python -m tests.benchmarks [GROUP …]`: exit 1 if a side failed to do its work, never for being slow."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.benchmarks import archive, children, flat, gentle, memory, refused, shapes, speed, strategies, throttles
from tests.benchmarks.databases import Open, mariadb, postgresql, sqlite
from tests.benchmarks.shapes import Opened
from tests.benchmarks.shapes import mariadb as shaped_mariadb
from tests.benchmarks.shapes import postgresql as shaped_postgresql
from tests.benchmarks.shapes import sqlite as shaped_sqlite
from tests.services.server import UnavailableError

DATABASES = ("postgresql", "mariadb", "sqlite")
GROUPS = (
    *DATABASES, "archive", "strategies", "flat", "memory", "gentle", "refused", "children", "shapes", "throttles",
)  # fmt: skip

Measure = Callable[[Namespace], bool]
"""Prints its table; False if something failed to do its work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the groups asked for, one after the other."""
    wanted = _parse(arguments)
    opened: dict[str, Open] = {
        "postgresql": partial(postgresql.opened, wanted.pg_url),
        "mariadb": partial(mariadb.opened, wanted.mariadb_url),
        "sqlite": sqlite.opened,
    }
    shaped: dict[str, Opened] = {
        "postgresql": partial(shaped_postgresql.opened, wanted.pg_url),
        "mariadb": partial(shaped_mariadb.opened, wanted.mariadb_url),
        "sqlite": shaped_sqlite.opened,
    }
    fine = True
    for group in wanted.groups or GROUPS:
        for name, measure in _measures(group, wanted.on, opened, shaped):
            try:
                fine &= measure(wanted)
            except UnavailableError as error:
                print(f"\n== {group} on {name}: skipped, {error}")
    return 0 if fine else 1


def _measures(
    group: str, on: Sequence[str], opened: dict[str, Open], shaped: dict[str, Opened]
) -> Iterator[tuple[str, Measure]]:
    if group in DATABASES:
        yield group, partial(speed.measure, opened[group])
    elif group == "shapes":
        yield from ((name, partial(shapes.measure, shaped[name])) for name in on)
    elif group == "throttles":
        yield "postgresql", throttles.measure
    elif group in ("gentle", "strategies", "refused", "children"):
        measures: dict[str, Callable[[Open, Namespace], bool]] = {
            "gentle": gentle.measure, "strategies": strategies.measure, "refused": refused.measure,
            "children": children.measure,
        }  # fmt: skip
        yield "postgresql", partial(measures[group], opened["postgresql"])
    else:
        measure = {"archive": archive.measure, "flat": flat.measure, "memory": memory.measure}[group]
        yield from ((name, partial(measure, opened[name])) for name in on)


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser("python -m tests.benchmarks", description="Ratios in one run, medians of pairs.")
    add = parser.add_argument
    add("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}; all of them if none is named")
    add("--scale", type=float, default=1.0, help="of 4 M rows on PostgreSQL, 500 k on MariaDB, 1 M on SQLite")
    add("--pairs", type=int, default=3)
    add("--batch-size", type=int, default=5000, help="of every side that has a fixed one")
    add("--cap", type=float, default=90.0, help="seconds given to the naive loop")
    add("--on", nargs="+", choices=DATABASES, default=DATABASES, help="databases of flat, memory and shapes")
    add("--rows", type=int, help="rows of each shape: 500 k on PostgreSQL, 300 k elsewhere if not given")
    add("--shape", default="", metavar="REGEX", help="only shapes that this finds in their name")
    add("--options", type=str.split, default=[], help="of the tool in each shape, as --options='--strategy match'")
    add("--held", action="store_true", help="each shape with an old snapshot held open elsewhere")
    add("--by-hand", action="store_true", help="each shape also by the shortest loop by hand, in as many batches")
    add("--archiver", action="store_true", help="each shape of MariaDB beside pt-archiver --bulk-delete")
    add("--pg-url", help="instead of a private server; makes and drops databases batchops_bench*")
    add("--mariadb-url", help="instead of a private server; makes and drops the schema batchops_bench")
    wanted = parser.parse_args(arguments)
    unknown = set(wanted.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
