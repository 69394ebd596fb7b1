"""batchops purge."""

from batchops.cli.execute import command_for
from batchops.spec.models import PurgeSpec

command = command_for(
    "purge",
    PurgeSpec,
    "Delete the rows of TABLE that match, in small transactions, one commit each.\n\n"
    "The plan is shown and a question asked first. The same command goes on where an earlier run stopped.",
)
