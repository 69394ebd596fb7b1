"""Makes flags from a spec's fields, so that a flag, a recipe key and a library argument are always the same."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import rich_click as click
from pydantic import BaseModel
from rich_click.rich_help_configuration import RichHelpConfiguration

from batchops import durations
from batchops.bulk.spec import CHECKS
from batchops.cli import completion_sources
from batchops.spec.models import (
    ARCHIVE,
    CHANGES,
    DATABASE,
    ROWS,
    STRATEGY,
    THROTTLING,
    Flag,
    VerbSpec,
    flag_name,
    flag_of,
    flagged,
)

OUTPUT = "Output"
_COLUMNS = ("COLUMN", "A,B", "A,B DESC")
"""The metavars of flags that name columns."""
_FIRST = (DATABASE, ROWS, CHANGES, ARCHIVE, THROTTLING, STRATEGY)
"""The groups that come first in the help; the others follow in the order of their fields."""
Decorator = Callable[[Any], Any]

_OUTPUT: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("-n", "--dry-run"), {"is_flag": True, "help": "Show the plan, the SQL and EXPLAIN. Changes nothing."}),
    (("-y", "--yes"), {"is_flag": True, "help": "Ask no question."}),
    (("--json", "as_json"), {"is_flag": True, "help": "Print one JSON document on stdout, also for errors."}),
    (("--events",), {"metavar": "FILE", "help": "Append each event as a JSON line."}),
    (("-q", "--quiet"), {"is_flag": True, "help": "Print nothing if the run ended well or as requested."}),
    (
        ("--progress-every",),
        {"metavar": "30s", "help": "Without a terminal: print a progress line this often. Default: never."},
    ),
    (
        ("--exit-code",),
        {"is_flag": True, "help": "Exit with 4 for nothing to do, with 5 if a limit ended the run."},
    ),
)

MONITORING = "Monitoring"
_MONITORING: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--metrics-file",),
        {
            "metavar": "FILE",
            "help": "Write metrics for Prometheus to FILE, replaced as a whole. Needs the extra prometheus.",
        },
    ),
    (
        ("--metrics-port",),
        {"metavar": "[ADDRESS:]PORT", "help": "Serve metrics for Prometheus at /metrics. Needs the extra prometheus."},
    ),
    (
        ("--ping",),
        {
            "metavar": "[JOB=]URL", "multiple": True,
            "help": "Request URL/start, then URL, or URL/EXIT after a failure. env:NAME and file:PATH fetch the URL.",
        },
    ),
    (("--log-format",), {"type": click.Choice(["text", "json"]), "help": "Write a log line for each event to stderr."}),
)  # fmt: skip


def from_spec(*models: type[BaseModel], only: Collection[str] = ()) -> Decorator:
    """Return a decorator that adds the table as an argument, and every other field, or those in `only`, as a flag.

    Values stay as the user typed them. A flag that several specs have is added once.
    """

    def decorate(function: Any) -> Any:
        fields = {name: field for model in models for name, field in flagged(model).items()}
        arguments = {getattr(model, "argument", "table") for model in models}
        for name, field in reversed(fields.items()):
            if name in arguments and (not only or name in only):
                offer = completion_sources.tables if name == "table" else None
                function = click.argument(name, shell_complete=offer)(function)
            elif not only or name in only:
                function = click.option(flag_name(name), name, **_settings(field))(function)
        return function

    return decorate


def _settings(field: Any) -> dict[str, Any]:
    flag = flag_of(field)
    text = field.description or ""
    if field.default is False:
        return {"is_flag": True, "default": None, "help": text}
    if hasattr(field.default, "total_seconds") and field.default:
        text += f" Default: {durations.show(field.default)}."
    several = flag.several
    settings = {"metavar": flag.metavar, "help": text, "multiple": several, "default": () if several else None}
    offer = _offered(field, flag)
    return settings | ({"shell_complete": offer} if offer else {})


def _offered(field: Any, flag: Flag) -> completion_sources.Offer | None:
    """Return the source of shell completion for the flag's value; None if there is none."""
    if flag.metavar in _COLUMNS:
        return completion_sources.columns
    if flag.metavar == "NAME" and flag.several:
        return completion_sources.one_of(CHECKS)
    return completion_sources.one_of(get_args(field.annotation)) if get_origin(field.annotation) is Literal else None


def output_options(function: Any) -> Any:
    """Add the output and monitoring flags, which every verb has, to a command."""
    for names, settings in reversed((*_OUTPUT, *_MONITORING)):
        function = click.option(*names, **settings)(function)
    return function


def monitoring_options(function: Any) -> Any:
    """Add the monitoring flags to a command that does not have the other output flags."""
    for names, settings in reversed(_MONITORING):
        function = click.option(*names, **settings)(function)
    return function


def help_of(verb: str, model: type[VerbSpec]) -> Decorator:
    """Return a decorator that shows the flags of a verb in groups in its help."""
    groups: dict[str, list[str]] = {name: [] for name in _FIRST}
    for name, field in flagged(model).items():
        if name != model.argument:
            groups.setdefault(flag_of(field).group, []).append(flag_name(name))
    groups[OUTPUT] = [names[-1] if names[-1].startswith("-") else names[0] for names, _ in _OUTPUT] + ["--help"]
    groups[MONITORING] = [names[0] for names, _ in _MONITORING]
    panels = [{"name": name, "options": options} for name, options in groups.items() if options]
    return click.rich_config(
        RichHelpConfiguration(option_groups={f"batchops {verb}": panels})  # type: ignore[dict-item]  # its typed dict is partial
    )


RECIPE: dict[str, Any] = {
    "metavar": "FILE",
    "type": click.Path(path_type=Path),
    "shell_complete": completion_sources.recipes,
}
"""The settings of the argument of commands that take a recipe."""
PARAMS = click.option(
    "--param",
    metavar="NAME=VALUE",
    multiple=True,
    help="Value for a parameter of the recipe. Repeatable.",
    shell_complete=completion_sources.params,
)
