"""The commands batchops recipe check, schema and new."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from batchops.cli.help import Group
from batchops.cli.options import PARAMS, RECIPE
from batchops.errors import BatchopsError, Exit, UsageError
from batchops.recipes.load import check as look_through
from batchops.recipes.load import load
from batchops.recipes.mistakes import Mistake
from batchops.recipes.params import assignments
from batchops.recipes.run import not_begun
from batchops.recipes.run_all import gravest
from batchops.recipes.schema import schema as schema_of_recipes
from batchops.recipes.write import written
from batchops.reporters.document import as_json
from batchops.reporters.figures import counted, visible
from batchops.spec.models import checked
from batchops.verbs import RECIPE_VERBS


@click.group("recipe", cls=Group)
def command() -> None:
    """Check recipes, print their JSON schema, write one from a command line."""


@command.command("check")
@click.argument("recipe", **RECIPE)
@PARAMS
@click.option("--connect", is_flag=True, help="Also plan each job on its database. Changes nothing.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
@click.pass_context
def check(context: click.Context, recipe: Path, param: tuple[str, ...], connect: bool, as_document: bool) -> None:
    """Report every mistake in the recipe FILE. The exit code is 2 if there is one. Needs no database.

    --connect also plans each job on its database: names, conditions and checks.
    """
    given = assignments(param)
    jobs, mistakes = look_through(recipe, given)
    codes = [int(Exit.USAGE)] if mistakes else []
    if connect and not mistakes:
        mistakes, codes = _planned(recipe, given)
    code = gravest(codes)
    if as_document:
        documents = [{"line": each.line, "message": each.message, "hint": each.hint or None} for each in mistakes]
        click.echo(as_json({"recipe": str(recipe), "exit": code, "jobs": jobs, "mistakes": documents}))
    else:
        for mistake in mistakes:
            click.echo(f"{recipe}:{mistake.line}: {visible(' '.join(mistake.text.splitlines()))}")
        found = counted(len(mistakes), "mistake") if mistakes else f"{counted(len(jobs), 'job')}, no mistakes"
        click.echo(f"{recipe}: {found}")
    context.exit(code)


def _planned(recipe: Path, given: dict[str, str]) -> tuple[list[Mistake], list[int]]:
    mistakes, codes = [], []
    for job in load(recipe, given).jobs:
        try:
            with job.verb.prepare(job.spec, os.environ, recipe=job.call) as ready:
                finished = ready.not_run("dry-run")
        except BatchopsError as failure:
            finished = not_begun(job, failure)
        error, code = finished.error, finished.exit
        if error is not None:
            mistakes.append(Mistake(job.line, f"{job.name}: {error.message}", error.hint))
            codes.append(code)
    return mistakes, codes


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of recipes, for editors that complete keys and mark mistakes.

    Put `#:schema FILE` at the top of a recipe, or name it in the settings of your editor's TOML extension.
    """
    click.echo(as_json(schema_of_recipes()))


@command.command("new", context_settings={"allow_interspersed_args": False})
@click.option("--name", metavar="NAME", help="Name of the job. Default: its verb and table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="File to write. Default: stdout.")
@click.argument("words", metavar="-- VERB TABLE [OPTIONS]...", nargs=-1, required=True)
def new(name: str | None, output: Path | None, words: tuple[str, ...]) -> None:
    """Write a recipe from a command line: batchops recipe new -- purge events --where "…"

    Each key has a comment. A URL with a password becomes a reference to an environment variable.
    """
    verb, values = _parsed_command(words[1:] if words[0] == "batchops" else words)
    spec = checked(RECIPE_VERBS[verb].spec, values)
    text = written(name or re.sub(r"[^\w-]+", "-", f"{verb}-{spec.table}"), verb, RECIPE_VERBS[verb].spec, values)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f'"{output}" cannot be written: {error.strerror}.') from error
    click.echo(f"{output} is written; batchops run {output} --dry-run shows what it would do.")


def _parsed_command(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the verb and the values that its command would get."""
    from batchops.cli.app import cli

    if not words or words[0] not in RECIPE_VERBS:
        raise UsageError("This is not the command line of a verb.", f"the verbs are {', '.join(RECIPE_VERBS)}.")
    verb = words[0]
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None  # every verb has its command
    context = found.make_context(f"batchops {verb}", list(words[1:]))
    known = RECIPE_VERBS[verb].spec.model_fields
    return verb, {name: each for name, each in context.params.items() if name in known and each not in (None, ())}
