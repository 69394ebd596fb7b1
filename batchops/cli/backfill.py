"""batchops backfill."""

from batchops.cli.execute import command_for
from batchops.spec.models import BackfillSpec

command = command_for(
    "backfill",
    BackfillSpec,
    "Update the matching rows of TABLE in small transactions, each row at most once.\n\nbatchops shows the "
    "plan and asks first. The same command continues an earlier run that stopped.",
)
