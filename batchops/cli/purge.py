"""batchops purge."""

from batchops.cli.execute import command_for
from batchops.spec.models import PurgeSpec

command = command_for(
    "purge",
    PurgeSpec,
    "Delete the matching rows of TABLE in small transactions.\n\nbatchops shows the plan and asks first. The "
    "same command continues an earlier run that stopped.",
)
