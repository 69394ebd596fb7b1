"""How one session is woken by another."""

from typing import Protocol

import sqlalchemy as sa


class Notifications(Protocol):
    """Notifications, where a family has them."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        """Begin to hear notifications on `channel`."""

    def notify(self, connection: sa.Connection, channel: str) -> None:
        """Notify whoever listens on `channel` once the transaction commits."""

    def received(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        """The channels on which something came within that long; at once where something has."""
