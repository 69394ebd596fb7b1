"""The full tier in parts by name, and its table of figures."""

import pytest

from tests import figures, tiers


def report(nodeid: str, *measured: tuple[str, str], seconds: float = 60) -> pytest.TestReport:
    properties = [(figures.MARK + name, value) for name, value in measured]
    return pytest.TestReport(
        nodeid, ("", 0, ""), {}, "passed", None, "call", user_properties=properties, duration=seconds
    )


def test_every_folder_has_one_part() -> None:
    folders = [folder for part in tiers.PARTS.values() for folder in part]
    assert len(folders) == len(set(folders))
    assert [folder for folder in folders if not (tiers.HERE / folder).is_dir()] == []
    assert tiers.part_of(tiers.HERE / "crash" / "test_kills.py") == "crash"
    assert tiers.part_of(tiers.HERE / "test_house_rules.py") == tiers.REST


def test_parts_by_name() -> None:
    parser = pytest.Parser(_ispytest=True)
    tiers.pytest_addoption(parser)
    asked = {text: parser.parse([text]).full for text in ("--full", "--full=all", "--full=crash,relay")}
    assert asked["--full"] == asked["--full=all"] == set(tiers.NAMES)
    assert asked["--full=crash,relay"] == {"crash", "relay"}
    assert parser.parse([]).full is None
    with pytest.raises(pytest.UsageError, match=r"no part crsah; there are crash, .*, rest and all"):
        parser.parse(["--full=crsah"])


@pytest.mark.wide(2)
@pytest.mark.parametrize("case", range(5))
def test_of_a_wide_test_the_quick_tier_runs_some_cases(request: pytest.FixtureRequest, case: int) -> None:
    run = [item for item in request.session.items if item.name.startswith("test_of_a_wide_test_")]
    assert len(run) <= (2 if request.config.getoption("--full") is None else 5), case


def test_figures_are_one_table() -> None:
    reports = [
        report("tests/crash/test_kills.py::test_b", ("kills", "20"), ("jobs", "3")),
        report("tests/crash/test_kills.py::test_longer"),
        report("tests/cli/test_a.py::test_a", ("seconds", "0.50")),
    ]
    assert figures.table(reports) == [
        "cli/test_a.py::test_a        seconds 0.50",
        "crash/test_kills.py::test_b  kills 20, jobs 3",
    ]
    assert figures.parts(reports) == [
        "crash            2 tests     2.0 min of work",
        "rest             1 tests     1.0 min of work",
    ]
