"""The throttle `load`: how many processes of this host run or wait for a CPU."""

import os

from batchops.db.signals import Measured
from batchops.throttles.kind import ThrottleKind


class _Load:
    def read(self) -> Measured:
        return Measured(os.getloadavg()[0])


KIND = ThrottleKind(
    name="load",
    text="load average of the host that batchops runs on, over one minute",
    local=lambda _: _Load(),
)
