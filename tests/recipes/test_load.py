"""Recipes without a database: what is read, what is wrong and where."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchops.bulk.spec import PurgeSpec
from batchops.errors import UsageError
from batchops.queue.spec import DrainSpec
from batchops.recipes.keys import key
from batchops.recipes.load import check, load
from batchops.recipes.mistakes import RecipeError
from batchops.recipes.toml_lines import LARGEST, parse_toml
from batchops.spec.models import flagged
from batchops.spec.schedule import RecipeSchedule
from batchops.verbs import RECIPE_VERBS

WHOLE = """
[params]
age = { type = "duration", default = "30d", description = "How old." }
tenant = { type = "integer" }
day = { type = "date", default = 2026-01-31 }
place = { type = "identifier", default = "audit.log" }

[defaults]
url = "env:SHOP"
max_time = "1h"
strategy = "key"

[job.rows]
verb = "purge"
table = { param = "place" }
older-than = { param = "age" }
by = "at"
where = "tenant = :tenant AND note <> '12:30' AND day > :day"
needs = "work"

[job.work]
verb = "drain"
table = "jobs"
where = "status = 'pending'"
set = "n = n + :tenant"
done = ["status = 'done'"]
claimed = "status = 'running'"
every = "20s"
time-zone = "Europe/Berlin"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tmp_path / "nightly.toml"


def test_a_whole_one(recipe: Path) -> None:
    recipe.write_text(WHOLE)
    read = load(recipe, {"tenant": "7"})
    assert [job.name for job in read.jobs] == ["work", "rows"]
    work, rows = read.jobs
    assert isinstance(rows.spec, PurgeSpec)
    assert isinstance(work.spec, DrainSpec)
    assert (rows.spec.table, rows.spec.older_than, rows.spec.strategy) == ("audit.log", timedelta(days=30), "key")
    assert rows.spec.params == {"tenant": 7, "day": date(2026, 1, 31)}
    assert (rows.needs, rows.schedule, rows.spec.max_time) == (("work",), None, timedelta(hours=1))
    assert (work.spec.set, work.spec.params) == (("n = n + :tenant",), {"tenant": 7})
    assert work.spec.claimed == ("status = 'running'",)
    assert work.schedule is not None
    assert (work.schedule.every, str(work.schedule.time_zone)) == (timedelta(seconds=20), "Europe/Berlin")
    assert rows.again == f"batchops run {recipe} rows --param tenant=7"
    assert [job.name for job in read.chosen(["rows"])] == ["work", "rows"]
    assert [job.name for job in read.chosen(["work"])] == ["work"]
    with pytest.raises(UsageError, match='no job "row"'):
        read.chosen(["row"])


def test_values_are_part_of_what_a_job_is(recipe: Path) -> None:
    recipe.write_text(WHOLE)
    ones = [load(recipe, given).jobs[1].spec for given in ({"tenant": "7"}, {"tenant": "8"}, {"tenant": "7"})]
    asked = [one.identity() for one in ones if isinstance(one, PurgeSpec)]
    assert asked[0] == asked[2] != asked[1]


def test_a_parameter_without_a_value(recipe: Path) -> None:
    recipe.write_text(WHOLE)
    assert check(recipe)[1] == []
    with pytest.raises(RecipeError, match='line 4: Parameter "tenant" has no value') as raised:
        load(recipe)
    assert len(raised.value.mistakes) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tenat": "7"}, "no such parameter"),
        ({"tenant": "many"}, "not a whole number"),
        ({"day": "soon"}, "no. a date"),
    ],
)
def test_a_wrong_value(recipe: Path, given: dict[str, str], said: str) -> None:
    recipe.write_text(WHOLE)
    with pytest.raises(UsageError, match=said):
        load(recipe, given)


TEN = """\
[params]
days = { type = "integr", default = 30 }
age = { type = "duration", default = "30" }
[defaults]
max_tme = "1h"
[job.a]
verb = "purge"
table = "t"
wher = "x = 1"
older-than = "90 moons"
by = "at"
needs = ["bb"]
[job.b]
verb = "delete"
[job.c]
verb = "backfill"
table = "t"
all-rows = true
where = "x = 1; drop table t"
set = "n = :dayz"
max-rows = true
batch-size = 0
"""


def test_every_mistake_at_once(recipe: Path) -> None:
    recipe.write_text(TEN)
    said = [(mistake.line, mistake.message, mistake.hint) for mistake in check(recipe)[1]]
    assert said == [
        (2, 'Parameter "days" has the type "integr", which there is not.', 'did you mean "integer"?'),
        (3, 'Parameter "age" has a default that "30" has no unit: write 30ms, 30s, 30min, 30h or 30d.', ""),
        (5, 'defaults has no key "max-tme".', 'did you mean "max-time"?'),
        (9, 'purge has no key "wher".', 'did you mean "where"?'),
        (
            10,
            'older-than: "90 moons": "moons" is not a unit; the units are ms, s, min, h, d, w, mo (30 days) or y '
            "(365 days).",
            "",
        ),
        (12, 'needs: there is no job "bb".', 'did you mean "b"?'),
        (14, 'verb: "delete" is none.', "purge deletes rows: batchops purge TABLE --where …"),
        (15, "all-rows excludes a condition.", ""),
        (19, "where: it holds a semicolon.", "give one bare expression, without a semicolon"),
        (20, 'set: it names ":dayz", which is not declared.', 'did you mean "days"?'),
        (21, "max-rows: true is not a value for it.", ""),
        (22, 'batch-size: "0" is not allowed: it must be at least 1.', ""),
    ]


def test_mistakes_in_the_syntax_are_all_told() -> None:
    source = parse_toml('[a]\nx = tru\ny = [1,\n  "b"\n  2]\nz = 1\nz = 2\n[a]\nu = 3\n[b]\nv = """x\n')
    assert [mistake.line for mistake in sorted(source.mistakes)] == [2, 3, 7, 8, 11]
    assert source.values == {"a": {"z": 1}, "b": {}}
    assert source.line("a", "z") == 6


def test_what_is_no_recipe(recipe: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(recipe)
    recipe.write_bytes(b"# " + b"x" * LARGEST)
    with pytest.raises(UsageError, match="larger"):
        load(recipe)
    recipe.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load(recipe)
    recipe.write_text("x = " + "[" * 5000)
    assert "nested" in check(recipe)[1][0].message
    recipe.write_text("")
    assert [mistake.message for mistake in check(recipe)[1]] == ["The recipe has no job."]


VALUES = st.recursive(
    st.sampled_from(
        [
            "3", "-1", "0.5", "nan", "true", '""', '"x"', "'1d'", "2026-01-31", "12:30:00", "2026-01-31T12:00:00Z",
            '"a = :n"', "\"it's\"", '"("', '{ param = "n" }', "{ param = 3 }", "{ }", "[]", '"purge"', '"drain"', '"a"',
        ]
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=4,
)  # fmt: skip
FIELDS = sorted(
    {key(name) for verb in RECIPE_VERBS.values() for name in flagged(verb.spec)} | {*RecipeSchedule.model_fields}
)
KEYS = st.sampled_from(
    [*FIELDS, "verb", "needs", "description", "type", "default", "wher", "n", "param", '"a b"', "x.y"]
)
LINES = st.tuples(KEYS, VALUES).map(" = ".join)
HEADS = st.sampled_from(
    ["[params]", "[params.n]", "[defaults]", "[job]", "[job.a]", "[job.b]", "[[job.c]]", "[x]", "[", "= 3", '"""']
)


@pytest.mark.full
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(lines=st.lists(HEADS | LINES, max_size=25), verb=st.sampled_from(list(RECIPE_VERBS)))
def test_no_file_is_too_much_for_it(recipe: Path, lines: list[str], verb: str) -> None:
    """Whatever stands there is understood, or told with a line of the file."""
    text = "\n".join([f"[job.first]\nverb = '{verb}'", *lines])
    recipe.write_text(text)
    mistakes = check(recipe)[1]
    assert all(1 <= mistake.line <= text.count("\n") + 1 for mistake in mistakes)
    assert all(mistake.message.strip() and "\n" not in mistake.message for mistake in mistakes)
    try:
        read = load(recipe)
    except RecipeError as error:
        assert set(mistakes) <= set(error.mistakes)
    else:
        assert mistakes == []
        assert read.jobs


def test_a_schedule_by_the_names_that_others_have(tmp_path: Path) -> None:
    file = tmp_path / "times.toml"
    for number, (cron, due) in enumerate([("@daily", 'cron "0 0 * * *" UTC'), ("@every 20s", "every 20 s")]):
        file.write_text(f'[job.j{number}]\nverb = "purge"\ntable = "t"\nwhere = "true"\ncron = "{cron}"\n')
        (job,) = load(file, {}).jobs
        assert job.schedule is not None
        assert str(job.schedule.times) == due


def test_the_jitter_is_shorter_than_the_interval_however_that_is_written(tmp_path: Path) -> None:
    file = tmp_path / "times.toml"
    for interval in ('every = "20s"', 'cron = "@every 20s"'):
        file.write_text(f'[job.one]\nverb = "purge"\ntable = "t"\nwhere = "true"\n{interval}\njitter = "20s"\n')
        with pytest.raises(UsageError, match="jitter"):
            load(file, {})
