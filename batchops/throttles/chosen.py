"""chosen(): the throttles of a run, checked before it starts, each with a first reading for the plan."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.database import Database
from batchops.db.signals import Measured, Scope, ServerSignal
from batchops.errors import (
    BatchopsError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    RowRefusedError,
    TransientError,
    UsageError,
)
from batchops.throttles import THROTTLES
from batchops.throttles.kind import ThrottleKind, ThrottleSetting
from batchops.throttles.probes import probe_database, reading


@dataclass(frozen=True)
class ChosenThrottle:
    """A throttle in the plan of a run."""

    setting: ThrottleSetting
    scope: Scope
    signal: ServerSignal | None = None
    """The database's signal that it reads; None for a signal of this host."""
    measured: Measured | None = None
    """The first reading; None if there is none yet."""
    quiet: bool = False
    """Whether it is a default with nothing to measure yet."""
    off: str = ""
    """Why the throttle is off, and the statement that would change that; empty if it is on."""

    @property
    def on(self) -> bool:
        """Whether the run waits for this throttle."""
        return not self.off and self.setting.limit is not None

    @property
    def text(self) -> str:
        """The throttle with its value and limit, for people: load: 0.42 (limit 4)."""
        if self.off or self.setting.limit is None:
            return f"{self.setting.kind.name}: off{f' ({self.off})' if self.off else ''}"
        if self.measured is None:
            return f"{self.setting.kind.name} ({self.setting.limits})"
        return self.setting.reading(self.measured)

    def document(self) -> dict[str, Any]:
        """Return the throttle as a document for programs."""
        return {
            "throttle": self.setting.kind.name,
            "unit": self.setting.kind.unit.name,
            "value": self.measured.value if self.measured else None,
            "of": (self.measured.of or None) if self.measured else None,
            "reason": (self.measured.reason or None) if self.measured else None,
            "limit": self.setting.limit,
            "stop": self.setting.stop,
            "on": self.on,
            "off": self.off or None,
        }


def chosen(
    connection: sa.Connection, database: Database, settings: Sequence[ThrottleSetting], scope: Scope
) -> tuple[ChosenThrottle, ...]:  # fmt: skip
    """Return the throttles of a run; raise UsageError or RefusedError if one that a flag names cannot be read.

    Those that a flag names are read once, on a connection like the one that the run will use. A default that this
    database does not have is left out.
    """
    backend = database.backend
    _refuse_replicas(backend, scope)
    with ExitStack() as stack:
        probes = partial(_probes, stack, database)
        return tuple(
            _asked(connection, backend, probes, one, scope)
            if one.asked or _takes_replicas(backend, one.kind, scope)
            else _default(connection, database, one, scope)
            for one in settings
            if one.asked or _there(backend, one.kind, scope)
        )


def _refuse_replicas(backend: Backend, scope: Scope) -> None:
    """Raise UsageError if a replica is named in a way that this database does not support."""
    signals = backend.signals.values()
    for one in scope.replicas:
        if one.address is not None and not any(signal.takes_replicas for signal in signals):
            hint = "leave it out, or give one a limit of its own by its name: --replica NAME,limit=4h."
            known = any(signal.knows_replicas for signal in signals)
            why = "--replica: this database names its replicas itself, or has none."
            raise UsageError(why, hint if known else "leave it out.")
        if one.address is None and not any(signal.knows_replicas for signal in signals):
            raise UsageError(f'--replica: "{one.name}" is no URL.', "name the replica by its URL.")


def _probes(stack: ExitStack, database: Database) -> Database:
    """Open the connections for readings; called only if there is something to read."""
    return stack.enter_context(closing(probe_database(database.address)))


def _takes_replicas(backend: Backend, kind: ThrottleKind, scope: Scope) -> bool:
    """Whether the user named replicas and this throttle reads them: each must then prove to be a replica."""
    signal = backend.signals.get(kind.name)
    return bool(scope.replicas) and signal is not None and (signal.takes_replicas or signal.knows_replicas)


def _asked(
    connection: sa.Connection, backend: Backend, probes: Callable[[], Database], setting: ThrottleSetting, scope: Scope
) -> ChosenThrottle:  # fmt: skip
    one, kind = ChosenThrottle(setting, scope), setting.kind
    if setting.limit is None:
        return one
    with _named(kind):
        if kind.local is not None:
            return replace(one, measured=kind.local(setting.argument).read())
        one = _readable(connection, backend, one)
        if one.signal is None or one.signal.writes:
            return one
        return replace(one, measured=reading(probes(), one.signal.open(scope))())


def chosen_at_work(
    connection: sa.Connection, backend: Backend, setting: ThrottleSetting, scope: Scope
) -> ChosenThrottle:  # fmt: skip
    """Return a throttle that was set while the run works, without a reading.

    Raises UsageError or RefusedError if it cannot be read.
    """
    with _named(setting.kind):
        return _readable(connection, backend, ChosenThrottle(setting, scope))


def _readable(connection: sa.Connection, backend: Backend, one: ChosenThrottle) -> ChosenThrottle:
    """Return the throttle with its signal; raise an error if this role may not read that."""
    setting, scope = one.setting, one.scope
    query = setting.kind.query
    signal = query(setting.argument, backend) if query is not None else _offered(backend, setting.kind)
    if missing := signal.unavailable(scope):
        raise UsageError(f"{missing}.")
    if (grant := signal.missing_right(connection, scope)) is not None:
        raise RefusedError(f'role "{scope.role}" has no right to it.', f"grant it: {grant}")
    return replace(one, signal=signal)


def _offered(backend: Backend, kind: ThrottleKind) -> ServerSignal:
    if kind.name in backend.signals:
        return backend.signals[kind.name]
    names = ", ".join(backend.signals) or "none"
    raise RefusedError("this database has no such signal.", f"signals of this server: {names}.")


def refuse_unoffered(backend: Backend, names: Iterable[str]) -> None:
    """Raise RefusedError if one of the throttles needs a signal that this database does not have."""
    for kind in THROTTLES:
        if kind.name in names and kind.local is None and kind.query is None:
            with _named(kind):
                _offered(backend, kind)


def _there(backend: Backend, kind: ThrottleKind, scope: Scope) -> bool:
    return kind.name in backend.signals and not backend.signals[kind.name].unavailable(scope)


def _default(connection: sa.Connection, database: Database, setting: ThrottleSetting, scope: Scope) -> ChosenThrottle:
    """Return a default throttle; it is off if it cannot be read for any reason, as on an unknown kind of server."""
    one, signal = ChosenThrottle(setting, scope), database.backend.signals[setting.kind.name]
    try:
        with database.savepoint(connection):
            if (grant := signal.missing_right(connection, scope)) is not None:
                return replace(one, off=f"not readable: {grant}")
            return replace(one, signal=signal, quiet=signal.quiet(connection, scope))
    except TransientError:
        raise
    except BatchopsError as error:
        return replace(one, off=f"not readable: {error.message}")


@contextmanager
def _named(kind: ThrottleKind) -> Iterator[None]:
    """Make errors name the flag; a throttle that cannot be read at the start is refused for any reason."""
    flag = kind.flag.partition(" ")[0] or f"--throttle {kind.name}"
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{flag}: {error.message}", error.hint) from error
    except (IntegrityError, NotFoundError, RowRefusedError) as error:  # the server's error about the user's own SQL
        raise UsageError(f"{flag}: {error.message.partition(': ')[2] or error.message}") from error
    except BatchopsError as error:
        raise RefusedError(f"{flag} cannot be read: {error.message}", error.hint) from error
    except OSError as error:
        raise RefusedError(f"{flag} cannot be read: {error.strerror or error}.") from error
