"""How one session is woken by another."""

from typing import Protocol

import sqlalchemy as sa


class Signals(Protocol):
    """Notifications, where a family has them."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        """Begin to hear notifications on `channel`."""

    def heard(self, connection: sa.Connection, seconds: float) -> bool:
        """Whether a notification came within that long."""
