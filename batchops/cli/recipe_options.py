"""How the commands that take a recipe are given one, and its parameters."""

from pathlib import Path
from typing import Any

import rich_click as click

from batchops.cli import completion_sources

RECIPE: dict[str, Any] = {
    "metavar": "FILE",
    "type": click.Path(path_type=Path),
    "shell_complete": completion_sources.recipes,
}
"""The settings of the argument."""
PARAMS = click.option(
    "--param",
    metavar="NAME=VALUE",
    multiple=True,
    help="Value for a parameter of the recipe. Repeatable.",
    shell_complete=completion_sources.params,
)
