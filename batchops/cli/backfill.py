"""batchops backfill."""

from batchops.cli.execute import command_for
from batchops.spec.models import BackfillSpec

command = command_for(
    "backfill",
    BackfillSpec,
    "Update the rows of TABLE that match, in small transactions, each row at most once.\n\n"
    "The plan is shown and a question asked first. The same command goes on where an earlier run stopped.",
)
