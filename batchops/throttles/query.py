"""The throttle `query`: the user's own SELECT returns a number, true or false, or a reason to wait."""

import math
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.signals import Measured, ServerSignal
from batchops.errors import UsageError
from batchops.sql.tokens import tokenize
from batchops.throttles.kind import ThrottleKind

_LONGEST = 200


@dataclass(frozen=True)
class _Query:
    text: str

    def read(self, connection: sa.Connection) -> Measured:
        rows = connection.exec_driver_sql(self.text, execution_options={"no_parameters": True})
        if not rows.returns_rows:
            raise UsageError("it gives no rows.")
        row = rows.first()
        if row is None:
            return Measured(None, of="no row")
        if len(row) != 1:
            raise UsageError(f"it gives {len(row)} columns; one is wanted.")
        return _measured(row[0])


def _measured(value: object) -> Measured:
    match value:
        case bool():
            return Measured(None, of="false") if not value else Measured(None, reason="true")
        case int() | float() | Decimal() if math.isfinite(value):
            return Measured(float(value))
        case str():
            text = " ".join(value.split())[:_LONGEST]
            return Measured(None, reason=text) if text else Measured(None, of="no reason")
    given = "NULL" if value is None else str(value)[:_LONGEST]
    raise UsageError(f"it gives {given}, which is neither a number nor a text.")


def _signal(text: str, backend: Backend) -> ServerSignal:
    """Return the signal of a single SELECT: its transaction is read-only, but a second statement could end that."""
    try:
        first = tokenize(text, backend.sql_functions.dialect).at(0)
    except UsageError as error:
        raise UsageError(f"{error.message}.", "give one SELECT, without a comment or a semicolon.") from None
    if first.value not in ("select", "with", "values"):
        raise UsageError(f"it begins with {first.written or 'nothing'}; it must be a SELECT.")
    return ServerSignal(lambda _: _Query(text))


KIND = ThrottleKind(
    name="query",
    text="waits while the SELECT gives a number above 0, true or a text, which is the reason",
    flag="--throttle-query SQL",
    query=_signal,
)
