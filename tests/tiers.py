"""Two tiers: the quick one has every scenario once, small; `--full` runs everything, whole or in parts by name."""

import gc
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.services.database import FAMILIES

HERE = Path(__file__).parent
PARTS = {
    "crash": ("crash",),
    "million": ("kills/million",),
    "kills": ("kills",),
    "databases": ("databases",),
    "bulk": ("bulk",),
    "drain": ("queue",),
    "sinks": ("outbox/sinks",),
    "relay": ("outbox",),
    "schedule": ("scheduler",),
}
"""The folders of each part; the first that holds a test counts, all others are REST.

A part takes less than 25 minutes on two idle cores, but for kills (an hour) and million (hours).
"""
REST = "rest"
EVERY = "all"
NAMES = (*PARTS, REST)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", nargs="?", const=EVERY, type=_parts, metavar="PARTS",
        help=f"run the full tier: all of it, or the parts named ({', '.join(NAMES)}), with commas between them",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: of the full tier, run with --full only")
    config.addinivalue_line("markers", "in_turn: the quick tier runs each case on one database, in turn")
    config.addinivalue_line("markers", "wide(n): the quick tier runs n of its cases, always the same; each is a kind")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing of what is imported and collected is garbage; looking for some takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    parts: frozenset[str] | None = config.getoption("--full")
    kept = _quick(items) if parts is None else [item for item in items if part_of(item.path) in parts]
    if len(kept) < len(items):
        of = set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in of])
        items[:] = kept


def part_of(path: Path) -> str:
    """The part of the full tier that the test file belongs to."""
    held = (name for name, folders in PARTS.items() if any(path.is_relative_to(HERE / one) for one in folders))
    return next(held, REST)


def _parts(value: str) -> frozenset[str]:
    names = frozenset(NAMES if value == EVERY else value.split(","))
    if unknown := names - set(NAMES):
        raise pytest.UsageError(
            f"--full: no part {', '.join(sorted(unknown))}; there are {', '.join(NAMES)} and {EVERY}. "
            "Write --full=PARTS, and paths before a bare --full."
        )
    return names


def _quick(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of a test marked `in_turn` each case on one of its databases only; of one marked `wide(n)` n cases."""
    of_tier = [item for item in items if item.get_closest_marker("full") is None]
    databases_by_case: dict[str, set[str]] = {}
    for item in of_tier:
        case, database = _case(item)
        databases_by_case.setdefault(case, set()).add(database)
    return _narrowed([item for item in of_tier if _chosen(item, databases_by_case)])


def _chosen(item: pytest.Item, databases_by_case: dict[str, set[str]]) -> bool:
    if item.get_closest_marker("in_turn") is None:
        return True
    case, database = _case(item)
    names = sorted(databases_by_case[case])
    return names[zlib.crc32(case.encode()) % len(names)] == database


def _narrowed(items: list[pytest.Item]) -> list[pytest.Item]:
    """Without the cases of a wide test that are for the full tier."""
    left: dict[str, int] = {}
    left_out = set()
    for item in sorted(items, key=lambda item: zlib.crc32(item.name.encode())):
        if (wide := item.get_closest_marker("wide")) is None:
            continue
        test = f"{item.path} {item.name.partition('[')[0]}"
        left[test] = left.get(test, wide.args[0]) - 1
        if left[test] < 0:
            left_out.add(item)
    return [item for item in items if item not in left_out]


def _case(item: pytest.Item) -> tuple[str, str]:
    """The test and its case, and on which database it is; empty for none."""
    name, _, case = item.name.partition("[")
    parts = case.rstrip("]").split("-")
    database = next((part for part in parts if part in FAMILIES), "")
    others = "-".join(part for part in parts if part not in FAMILIES)
    return f"{item.path.name} {name} {others}", database
