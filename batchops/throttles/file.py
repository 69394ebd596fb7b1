"""The throttle `file`: a run waits while a file exists, so anyone who may create the file can make it wait."""

import os
from dataclasses import dataclass

from batchops.db.signals import Measured
from batchops.throttles.kind import ThrottleKind


@dataclass(frozen=True)
class _File:
    path: str

    def read(self) -> Measured:
        try:
            os.stat(self.path)
        except FileNotFoundError:
            return Measured(None, of=f"{self.path} does not exist")
        return Measured(None, reason=f"{self.path} exists")


KIND = ThrottleKind(
    name="file",
    text="waits while the file PATH exists on the host that batchops runs on",
    flag="--throttle-file PATH",
    local=_File,
)
