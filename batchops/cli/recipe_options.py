"""How the commands that take a recipe are given one, and its parameters."""

from pathlib import Path

import rich_click as click

RECIPE = click.Path(path_type=Path)
PARAMS = click.option(
    "--param", metavar="NAME=VALUE", multiple=True, help="A value for a parameter of the recipe; may be repeated."
)
