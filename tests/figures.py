"""Figures that tests of the full tier measure: recorded through a fixture, printed in one table at the end."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pytest

from tests.tiers import HERE, part_of

MARK = "figure: "
"""Before its name, a figure among a report's properties, which travel from xdist's workers."""


class Figures(Protocol):
    """Records what a test measured: `figures(kills=20, seconds=f"{took:.1f}")`. It asserts nothing."""

    def __call__(self, **measured: object) -> None: ...


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Records figures of this test for the table at the end of the full tier."""

    def record(**measured: object) -> None:
        for name, value in measured.items():
            request.node.user_properties.append((MARK + name.replace("_", " "), _shown(value)))

    return record


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--full") is None:
        return
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    reports = [report for report in reports if isinstance(report, pytest.TestReport)]
    for title, lines in (("figures", table(reports)), ("parts", parts(reports))):
        if lines:
            terminalreporter.section(title)
            terminalreporter.write("\n".join(lines) + "\n")


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each test that recorded figures, in the order of the files."""
    calls = [report for report in reports if report.when == "call"]
    figures = {
        report.nodeid.removeprefix(f"{HERE.name}/"): [
            f"{name.removeprefix(MARK)} {value}" for name, value in report.user_properties if name.startswith(MARK)
        ]
        for report in calls
    }
    width = max((len(test) for test, measured in figures.items() if measured), default=0)
    return [f"{test:<{width}}  {', '.join(measured)}" for test, measured in sorted(figures.items()) if measured]


def parts(reports: Iterable[pytest.TestReport]) -> list[str]:
    """How many tests each part has, and how long they took one after the other."""
    tests, seconds = defaultdict[str, set[str]](set), defaultdict[str, float](float)
    for report in reports:
        name = part_of(HERE.parent / Path(report.nodeid.split("::")[0]))
        tests[name].add(report.nodeid)
        seconds[name] += report.duration
    return [f"{name:<12}{len(tests[name]):>6,} tests {seconds[name] / 60:>7.1f} min of work" for name in sorted(tests)]
