"""The command batchops cancel."""

from typing import Any

import rich_click as click

from batchops.cli.control_options import ask_to_end, target_flags
from batchops.cli.help import Command


@click.command("cancel", cls=Command)
@target_flags(later=False)
def command(**named: Any) -> None:
    """Stop a run at once: cancel its statement and roll back the batch in progress. It can be continued.

    The process ends with the reason `stopped` and exit code 0. A later process continues the run.
    """
    ask_to_end("cancel", "is asked to cancel the batch in progress and to stop.", **named)
