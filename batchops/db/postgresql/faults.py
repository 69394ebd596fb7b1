"""Which fault each of psycopg's errors is, by a table of SQLSTATEs."""

import re
from collections.abc import Sequence

import psycopg
import sqlalchemy as sa

from batchops.db.faults import Fault, RefusedRow, driver_error
from batchops.db.postgresql.refused_together import refuses_each
from batchops.db.table import Table
from batchops.db.types import KeyValue

# A code of five characters counts before its class of two.
_STATES = {
    "08": Fault.CONNECTION_LOST,
    "08007": Fault.OUTCOME_UNKNOWN,
    "09": Fault.ROW_REFUSED,
    "0A": Fault.STATEMENT,
    "21": Fault.SEVERAL_ROWS,
    "22": Fault.ROW_REFUSED,
    "23": Fault.ROW_REFUSED,
    "25006": Fault.READ_ONLY,
    "25P03": Fault.CONNECTION_LOST,
    "25P04": Fault.CONNECTION_LOST,
    "27": Fault.ROW_REFUSED,
    "28": Fault.LOGIN,
    "38": Fault.ROW_REFUSED,
    "39": Fault.ROW_REFUSED,
    "3D": Fault.LOGIN,
    "3F": Fault.NO_TABLE,
    "40": Fault.TRANSIENT,
    "40002": Fault.ROW_REFUSED,
    "40003": Fault.OUTCOME_UNKNOWN,
    "42": Fault.STATEMENT,
    "42501": Fault.DENIED,
    "42703": Fault.NO_COLUMN,
    "42P01": Fault.NO_TABLE,
    "42P05": Fault.OTHER,  # a prepared statement's name is taken: a pooler's doing, not the user's
    "44": Fault.ROW_REFUSED,
    "53": Fault.TRANSIENT,
    "54": Fault.ROW_REFUSED,
    "54001": Fault.STATEMENT,
    "55006": Fault.TRANSIENT,
    "55P03": Fault.LOCK_TIMEOUT,
    "57014": Fault.TIMED_OUT,
    "57P01": Fault.CONNECTION_LOST,
    "57P02": Fault.CONNECTION_LOST,
    "57P03": Fault.CONNECTION_LOST,
    "57P04": Fault.LOGIN,
    "57P05": Fault.CONNECTION_LOST,
    "58": Fault.CORRUPT,
    "P0": Fault.ROW_REFUSED,
    "XX": Fault.CORRUPT,
}
# The server may translate the words of the detail (lc_messages). The pattern takes only numbers and UUIDs: a text may
# hold a comma and end in the middle.
_FAILING = re.compile(r"\((\d+|[0-9a-f-]{36})(?:, |\))")
# libpq gives no SQLSTATE for a refused connection, only text in the server's language. What is not recognised
# counts as unreachable, which has the same exit code.
_CONNECTING = ("connection failed", "connection is bad", "failed to resolve host", "connection timeout")
_REFUSALS = {
    "password authentication failed": Fault.LOGIN,
    "no password supplied": Fault.LOGIN,
    "authentication failed": Fault.LOGIN,
    "no pg_hba.conf entry": Fault.LOGIN,
    "pg_hba.conf rejects": Fault.LOGIN,
    "does not exist": Fault.LOGIN,
    "is not permitted to log in": Fault.LOGIN,
    "permission denied for database": Fault.LOGIN,
    "certificate": Fault.LOGIN,
    "session is read-only": Fault.READ_ONLY,
    "too many": Fault.TRANSIENT,
    "remaining connection slots": Fault.TRANSIENT,
}


def classify(error: BaseException) -> Fault:
    """Return the fault that a psycopg error stands for."""
    error = driver_error(error)
    if not isinstance(error, psycopg.Error):
        return Fault.OTHER
    state = error.sqlstate
    if state is not None:
        return _STATES.get(state, _STATES.get(state[:2], Fault.OTHER))
    if error.pgconn is not None or str(error).startswith(_CONNECTING):
        return _refusal(str(error))
    if isinstance(error, psycopg.OperationalError):
        return Fault.CONNECTION_LOST
    # The client itself refused a value, such as a text with a NUL.
    return Fault.ROW_REFUSED if isinstance(error, psycopg.DataError) else Fault.OTHER


def message(error: BaseException) -> str:
    """Return only the server's primary message: details repeat rows, and the context repeats SQL."""
    error = driver_error(error)
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    # There is one attempt for each address. The first line is about the last attempt and is enough.
    first, *_ = str(error).splitlines() or [""]
    return first.removeprefix("connection failed: ").removeprefix("connection is bad: ")


def _failing_row(error: BaseException, table: Table) -> str | None:
    """Return the first column's value in the row that violated a CHECK or NOT NULL; None where it is not known.

    The error's detail lists the row's columns in the table's order.
    """
    error = driver_error(error)
    if not isinstance(error, psycopg.Error) or error.sqlstate not in ("23514", "23502"):
        return None
    found = _FAILING.search(error.diag.message_detail or "")
    own = (error.diag.schema_name, error.diag.table_name) == (table.schema, table.name)
    return found[1] if found and own else None


def _refusal(text: str) -> Fault:
    # Some libpq versions also say "does not exist" about the socket file of a server that does not run.
    if "FATAL" not in text and "No such file" in text:
        return Fault.UNREACHABLE
    return next((fault for words, fault in _REFUSALS.items() if words in text), Fault.UNREACHABLE)


class PostgreSQLFaults:
    """What psycopg's errors mean."""

    classify = staticmethod(classify)
    message = staticmethod(message)
    refuses_each = staticmethod(refuses_each)

    def refused_row(
        self, connection: sa.Connection, error: BaseException, table: Table, names: Sequence[str],  # noqa: ARG002
        keys: Sequence[KeyValue],
    ) -> RefusedRow | None:  # fmt: skip
        text = _failing_row(error, table) if tuple(names) == table.column_names[:1] else None
        place = next((i for i, key in enumerate(keys) if str(key[0]) == text), None)
        return None if place is None else RefusedRow(place, certain=True)
