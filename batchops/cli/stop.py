"""The command batchops stop."""

from typing import Any

import rich_click as click

from batchops.cli.control_options import ask_to_end, target_flags
from batchops.cli.help import Command


@click.command("stop", cls=Command)
@target_flags(later=False)
def command(**named: Any) -> None:
    """Stop a run after the batch in progress. It can be continued.

    The process ends with the reason `stopped` and exit code 0. A later process continues the run.
    """
    ask_to_end("stop", "is asked to stop; it ends after the batch in progress.", **named)
