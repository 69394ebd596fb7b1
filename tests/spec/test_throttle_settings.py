"""`--throttle NAME=LIMIT,stop=LIMIT`: what it means, and each mistake in one line."""

import re

import pytest

from batchops.spec.throttle_settings import setting, settings
from batchops.throttles import THROTTLES


def test_limits_are_read_in_the_unit_of_the_throttle() -> None:
    found = setting("load=4.5, stop=8")
    assert (found.kind.name, found.limit, found.stop) == ("load", 4.5, 8.0)
    assert setting("load=off").limit is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lod=4", 'there is no throttle "lod"; did you mean "load"'),
        ("nonsense", "`batchops help throttling` lists them"),
        ("load", '"load" needs a limit, like load=4'),
        ("load=", '"" is not a number'),
        ("load=high", '"high" is not a number, like 4'),
        ("load=-1", '"-1" is not a number'),
        ("load=nan", '"nan" is not a number'),
        ("load=4,halt=8", '"halt=8" is not like stop=4'),
        ("load=4,stop=4", "stop=4 must be more than"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        setting(text)


def test_one_that_is_given_twice_is_a_mistake_and_a_default_gives_way() -> None:
    with pytest.raises(ValueError, match='"load" is given twice'):
        settings(("load=4", "load=5"), {})
    defaults = [kind.name for kind in THROTTLES if kind.by_default]
    assert [one.kind.name for one in settings((), {})] == defaults
    for name in defaults:
        assert [one.limit for one in settings((f"{name}=off",), {}) if one.kind.name == name] == [None]
