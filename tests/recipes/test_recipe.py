"""Jobs that need each other: their order, what a choice of them brings along, circles."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from batchops.bulk.purge import VERB as PURGE
from batchops.bulk.spec import PurgeSpec
from batchops.errors import UsageError
from batchops.recipes.recipe import Recipe, RecipeJob, circle, ordered


def recipe(needs: Mapping[str, Sequence[str]]) -> Recipe:
    spec = PurgeSpec(table="t", where="true")
    return Recipe(Path("r.toml"), ordered([RecipeJob(name, PURGE, spec, tuple(of)) for name, of in needs.items()]))


def names(jobs: Sequence[RecipeJob]) -> str:
    return "".join(job.name for job in jobs)


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({"a": "", "b": "", "c": ""}, "abc"),
        ({"x": "z", "y": "", "z": ""}, "yzx"),
        ({"d": "bc", "c": "a", "b": "a", "a": ""}, "acbd"),
    ],
)
def test_jobs_stand_as_in_the_file_but_after_what_they_need(needs: Mapping[str, Sequence[str]], order: str) -> None:
    assert names(recipe(needs).jobs) == order


def test_a_choice_brings_what_it_needs() -> None:
    whole = recipe({"d": "bc", "c": "a", "b": "a", "a": "", "e": ""})
    assert names(whole.chosen(["b"])) == "ab"
    assert names(whole.chosen(["e", "d"])) == "acbde"
    assert names(whole.chosen([])) == "acbde"
    with pytest.raises(UsageError, match='no job "f"'):
        whole.chosen(["f"])


@pytest.mark.parametrize(
    ("needs", "found"),
    [
        ({"a": "b", "b": ""}, []),
        ({"a": "a"}, ["a", "a"]),
        ({"a": "b", "b": "c", "c": "b"}, ["b", "c", "b"]),
    ],
)
def test_a_circle_is_told_in_the_direction_of_its_needs(needs: Mapping[str, Sequence[str]], found: list[str]) -> None:
    assert circle(needs) == found or circle(needs) == found[1:] + found[1:2]
