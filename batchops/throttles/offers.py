"""offers(): the throttles that a database offers, each with its value now or why it has none."""

from dataclasses import dataclass
from typing import Any

from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import BatchopsError
from batchops.throttles import THROTTLES
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.probes import reading


@dataclass(frozen=True)
class Offer:
    """A throttle that is on offer, with its value now."""

    kind: ThrottleKind
    measured: Measured | None = None
    trouble: str = ""
    """Why the throttle has no value; empty if it has one."""
    grant: str = ""
    """The statement that lets the role read it."""

    @property
    def limit(self) -> str:
        """The limit that applies if the user names none, or the flag that sets one, for people."""
        if self.kind.flag:
            return self.kind.flag
        if self.kind.limit is None:
            return f"--throttle {self.kind.name}={self.kind.unit.example}"
        limits = ThrottleSetting(self.kind, self.kind.limit).limits
        return f"{limits}, by default" if self.kind.by_default else limits

    @property
    def value(self) -> str:
        """The value, for people; empty for a throttle whose flag says what to read."""
        if self.measured is None:
            return self.grant or self.trouble
        measured = self.measured
        if measured.reason or measured.value is None:
            return measured.reason or measured.of or "nothing to measure now"
        return self.kind.unit.show(measured.value) + (f" of {measured.of}" if measured.of else "")

    def document(self) -> dict[str, Any]:
        """Return the offer as a document for programs."""
        measured = self.measured or Measured(None)
        return {
            "throttle": self.kind.name,
            "text": self.kind.text,
            "unit": self.kind.unit.name,
            "value": measured.value,
            "of": measured.of or None,
            "reason": measured.reason or None,
            "limit": self.kind.limit,
            "by_default": self.kind.by_default,
            "flag": self.kind.flag or None,
            "error": self.trouble or None,
            "grant": self.grant or None,
        }


def offers(database: Database, table: str | None) -> list[Offer]:
    """Return all throttles that this database offers; those about a table have a value only if one is named."""
    backend = database.backend
    with database.reading() as connection:
        role = backend.catalog.server(connection).role
        scope = Scope(role, None if table is None else find_table(connection, backend, table))
    return [
        _offer(database, kind, scope)
        for kind in THROTTLES
        if kind.flag or kind.local is not None or kind.name in backend.signals
    ]


def _offer(database: Database, kind: ThrottleKind, scope: Scope) -> Offer:
    if kind.flag:
        return Offer(kind)
    try:
        if kind.local is not None:
            return Offer(kind, kind.local("").read())
        return _of_server(database, kind, database.backend.signals[kind.name], scope)
    except (BatchopsError, OSError) as error:
        return Offer(kind, trouble=error.message if isinstance(error, BatchopsError) else str(error))


def _of_server(database: Database, kind: ThrottleKind, signal: ServerSignal, scope: Scope) -> Offer:
    if missing := signal.unavailable(scope):
        return Offer(kind, trouble=missing)
    with database.reading() as connection:
        grant = signal.missing_right(connection, scope)
    if grant is not None:
        return Offer(kind, trouble=f'role "{scope.role}" has no right to it', grant=grant)
    return Offer(kind, reading(database, signal.open(scope))())
