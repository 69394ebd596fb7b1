"""Reads a recipe file and returns its jobs, or reports every mistake in it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchops.db.url_references import is_reference
from batchops.db.urls import address
from batchops.errors import UsageError, did_you_mean
from batchops.recipes.keys import Given, checked_all, filled, foreign_key, key, stray
from batchops.recipes.mistakes import Mistake, RecipeError
from batchops.recipes.params import Param, declared, with_values
from batchops.recipes.placeholders import against, bound
from batchops.recipes.recipe import Recipe, RecipeJob, circle, ordered
from batchops.recipes.toml_lines import TomlSource, parse_toml, read
from batchops.spec import schedule
from batchops.spec.command_line import joined
from batchops.spec.foreign_names import command_hint
from batchops.spec.models import VerbSpec, flagged
from batchops.spec.schedule import RecipeSchedule
from batchops.spec.verb import Verb
from batchops.verbs import RECIPE_VERBS

TABLES = ("params", "defaults", "job")
"""The tables that a recipe may have."""
OWN = ("verb", "needs", "description")
"""Keys of a job that are neither flags nor keys of its schedule."""
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)


def load(path: Path, given: Mapping[str, str] | None = None) -> Recipe:
    """Return the recipe with its parameters filled in from `given`.

    RecipeError, with all of them, for mistakes in the file; UsageError for mistakes in `given`.
    """
    reader = _Reader(path, parse_toml(read(path)), given or {})
    jobs = reader.jobs()
    missing = [param for param in reader.params.values() if param.value is None and param.type]
    for param in missing:
        hint = f"--param {param.name}=…, or a default in [params]."
        reader.mistakes.append(Mistake(param.line, f'Parameter "{param.name}" has no value.', hint))
    if reader.mistakes:
        raise RecipeError(path, reader.distinct_mistakes())
    return Recipe(path, ordered(jobs), tuple(reader.params.values()))


def check(path: Path, given: Mapping[str, str] | None = None) -> tuple[list[str], list[Mistake]]:
    """Return the jobs' names, and every mistake by its line; a parameter without a value is no mistake."""
    source = parse_toml(read(path))
    reader = _Reader(path, source, given or {})
    reader.jobs()
    table = source.values.get("job", {})
    return list(table) if isinstance(table, dict) else [], reader.distinct_mistakes()


class _Reader:
    """Reads one file and collects its mistakes."""

    def __init__(self, path: Path, source: TomlSource, given: Mapping[str, str]) -> None:
        self._path, self._source, self._given = path, source, given
        self.mistakes: list[Mistake] = list(source.mistakes)
        params, mistakes = declared(source)
        self.mistakes += mistakes
        self.params: dict[str, Param] = with_values(params, given)
        self._defaults = self._own_defaults()

    def distinct_mistakes(self) -> list[Mistake]:
        """Return the mistakes, each once: one in [defaults] is reported for every job."""
        return sorted(set(self.mistakes))

    def report(self, line: int, message: str, hint: str = "") -> None:
        """Add a mistake."""
        self.mistakes.append(Mistake(line, message, hint))

    def jobs(self) -> list[RecipeJob]:
        """Read all jobs, collect the mistakes, and return the jobs that have none."""
        for name in set(self._source.values) - {*TABLES}:
            hint = did_you_mean(name, TABLES) or "a recipe has [params], [defaults] and [job.NAME]."
            self.report(self._source.line(name), f'A recipe has no "{name}".', hint)
        tables = self._table("job")
        if not tables and not self.mistakes:
            self.report(1, "The recipe has no job.", "write [job.NAME], with a verb and a table.")
        needs = self._needs(tables)
        found = [self._job(name, table, needs[name]) for name, table in tables.items()]
        return [job for job in found if job is not None]

    def _table(self, *place: str) -> dict[str, Any]:
        table: Any = self._source.values
        for name in place:
            table = table.get(name, {})
        if isinstance(table, dict):
            return table
        self.report(self._source.line(*place), f'"{".".join(place)}" is not a table.')
        return {}

    def _own_defaults(self) -> dict[str, Given]:
        """Return the values in [defaults] by field; a key that no verb has is a mistake."""
        known = {field for verb in RECIPE_VERBS.values() for field in flagged(verb.spec)} | schedule.KEYS
        fields = self._fields(self._table("defaults"), "defaults")
        for name in set(fields) - known:
            names = [key(each) for each in known]
            hint = foreign_key(name, names) or did_you_mean(key(name), names)
            self.report(fields[name].line, f'defaults has no key "{key(name)}".', hint)
        return {name: Given(each.value, each.line, default=True) for name, each in fields.items() if name in known}

    def _fields(self, table: Mapping[str, Any], *place: str) -> dict[str, Given]:
        """Return the keys of a table by the fields that they mean; dashes and underscores mean the same."""
        fields: dict[str, Given] = {}
        for written, value in table.items():
            name, line = written.replace("-", "_"), self._source.line(*place, written)
            if name in fields:
                self.report(line, f'"{written}" is given twice, once with dashes.')
            fields[name] = Given(value, line)
        return fields

    def _needs(self, tables: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        needs: dict[str, tuple[str, ...]] = {}
        for name, table in tables.items():
            written = table.get("needs", ()) if isinstance(table, dict) else ()
            listed = [written] if isinstance(written, str) else written
            line = self._source.line("job", name, "needs")
            if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
                self.report(line, "needs: it is not a list of names.", 'write needs = ["NAME"].')
                listed = []
            for each in listed:
                if each not in tables:
                    self.report(line, f'needs: there is no job "{each}".', did_you_mean(each, tables))
            needs[name] = tuple(each for each in listed if each in tables)
        if circular := circle(needs):
            line = self._source.line("job", circular[0], "needs")
            self.report(line, f"needs: {' needs '.join(circular)}, so none of them can begin.")
        return needs

    def _job(self, name: str, table: Any, needs: tuple[str, ...]) -> RecipeJob | None:
        line, before = self._source.line("job", name), len(self.mistakes)
        if not isinstance(table, dict):
            self.report(line, f'job: "{name}" is not a table.', f"write [job.{name}].")
            return None
        if not _NAME.fullmatch(name):
            self.report(line, f'"{name}" cannot be the name of a job.', "use letters, digits, . _ and -.")
        given = self._fields(table, "job", name)
        verb = self._verb(given, line)
        if verb is None:
            self._report_unknown_keys(given)
            return None
        due = self._schedule(verb, given, line)
        spec = self._spec(verb, given, line)
        about = given.get("description", Given("", line))
        if not isinstance(about.value, str):
            self.report(about.line, "description: it is not text.")
        if due is not None and spec is not None and spec.stays_up:
            message = "poll: a scheduled job ends when there is nothing to do, and starts again at its next fire"
            self.report(line, f"{message}.", "leave poll out.")
        if due is not None and spec is not None and spec.reads_stdin:
            self.report(line, "ids: stdin can be read only once, and a scheduled job runs again.", "name a file.")
        if spec is None or len(self.mistakes) > before:
            return None
        return RecipeJob(name, verb, spec, needs, due, about.value, line, self._rerun_command(name))

    def _verb(self, given: Mapping[str, Given], line: int) -> Verb | None:
        if "verb" not in given:
            self.report(line, "verb is missing.", f"the verbs are {', '.join(RECIPE_VERBS)}.")
            return None
        verb = given["verb"].value
        if isinstance(verb, str) and verb in RECIPE_VERBS:
            return RECIPE_VERBS[verb]
        asks = [name for name, each in RECIPE_VERBS.items() if each.asks]
        known = f"the verbs are {', '.join(RECIPE_VERBS)}."
        hint = command_hint(str(verb)) or did_you_mean(str(verb), RECIPE_VERBS, asks) or known
        self.report(given["verb"].line, f'verb: "{verb}" is none.', hint)
        return None

    def _report_unknown_keys(self, given: Mapping[str, Given]) -> None:
        """Report the keys that no verb has, for a job without a known verb."""
        known = {field for verb in RECIPE_VERBS.values() for field in flagged(verb.spec)} | {*OWN, *schedule.KEYS}
        for name in set(given) - known:
            names = [key(each) for each in known]
            hint = foreign_key(name, names) or did_you_mean(key(name), names)
            self.report(given[name].line, f'No verb has a key "{key(name)}".', hint)

    def _schedule(self, verb: Verb, given: Mapping[str, Given], line: int) -> RecipeSchedule | None:
        shared = schedule.SHARED & flagged(verb.spec).keys()
        wanted = {name: each for name, each in (self._defaults | dict(given)).items() if name in schedule.KEYS}
        zone = {name: each for name, each in (self._defaults | dict(given)).items() if name in shared}
        if "every" not in wanted and "cron" not in wanted:
            for name, each in wanted.items():
                if not each.default:
                    self.report(each.line, f"{key(name)} needs every or cron.")
            return None
        due: RecipeSchedule | None = self._checked(RecipeSchedule, wanted | zone, line)
        return due

    def _spec(self, verb: Verb, given: Mapping[str, Given], line: int) -> VerbSpec | None:
        model = verb.spec
        known = flagged(model)
        others = {name: each.spec for name, each in RECIPE_VERBS.items()}
        mine = {name: each for name, each in given.items() if name not in (*OWN, *schedule.KEYS)}
        for name in set(mine) - set(known):
            self.report(mine[name].line, *stray(name, verb.name, others, {*known, *OWN, *schedule.KEYS}))
        fields = {n: each for n, each in (self._defaults | mine).items() if n in known}
        self.mistakes += [*against(fields, model, self.params), *_url_mistakes(fields.get("url"))]
        spec = self._checked(model, fields, line)
        return None if spec is None else bound(spec, self.params)

    def _checked(self, model: type[Any], fields: Mapping[str, Given], line: int) -> Any:
        values = filled(fields, model, self.params, self.mistakes)
        lines = {name: each.line for name, each in fields.items()}
        return checked_all(model, values, lines, line, self.mistakes)

    def _rerun_command(self, name: str) -> str:
        params = [word for given in self._given.items() for word in ("--param", "=".join(given))]
        return joined(["batchops", "run", str(self._path), name, *params])


def _url_mistakes(url: Given | None) -> list[Mistake]:
    """Return the mistakes in a URL; a reference to a URL is looked up only when the job runs."""
    if url is None or not isinstance(url.value, str) or is_reference(url.value):
        return []
    try:
        address(url.value, {})
    except UsageError as error:
        return [Mistake(url.line, f"url: {error.message.replace(' (--url)', '').replace('--url', 'it')}", error.hint)]
    return []
