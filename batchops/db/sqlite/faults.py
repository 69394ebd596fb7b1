"""Which fault each of sqlite3's errors is, by a table of SQLite's result codes."""

import sqlite3

from batchops.db.faults import Fault, driver_error

# An extended code counts before its primary one.
_CODES = {
    sqlite3.SQLITE_BUSY: Fault.TRANSIENT,
    sqlite3.SQLITE_LOCKED: Fault.TRANSIENT,
    sqlite3.SQLITE_PROTOCOL: Fault.TRANSIENT,
    sqlite3.SQLITE_NOMEM: Fault.TRANSIENT,
    sqlite3.SQLITE_FULL: Fault.TRANSIENT,
    sqlite3.SQLITE_INTERRUPT: Fault.TIMED_OUT,
    sqlite3.SQLITE_IOERR: Fault.CONNECTION_LOST,
    sqlite3.SQLITE_IOERR_CORRUPTFS: Fault.CORRUPT,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_READONLY_DBMOVED: Fault.SCHEMA,
    sqlite3.SQLITE_PERM: Fault.DENIED,
    sqlite3.SQLITE_AUTH: Fault.DENIED,
    sqlite3.SQLITE_CANTOPEN: Fault.UNREACHABLE,
    sqlite3.SQLITE_CONSTRAINT: Fault.ROW_REFUSED,
    sqlite3.SQLITE_TOOBIG: Fault.ROW_REFUSED,
    sqlite3.SQLITE_MISMATCH: Fault.ROW_REFUSED,
    sqlite3.SQLITE_SCHEMA: Fault.SCHEMA,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
}
# The code SQLITE_ERROR covers many errors; their texts are never translated.
_TEXTS = {
    "no such table": Fault.NO_TABLE,
    "no such column": Fault.NO_COLUMN,
    "no such function": Fault.MISSING_CODE,
    "no such collation sequence": Fault.MISSING_CODE,
    "no such module": Fault.MISSING_CODE,
    "syntax error": Fault.STATEMENT,
    "unrecognized token": Fault.STATEMENT,
    "unterminated string": Fault.STATEMENT,  # these two of a full-text search
    "unknown special query": Fault.STATEMENT,
    "incomplete input": Fault.STATEMENT,
    "wrong number of arguments": Fault.STATEMENT,
    "misuse of": Fault.STATEMENT,
    "unable to use function": Fault.STATEMENT,
    "row value misused": Fault.STATEMENT,
    "ambiguous column name": Fault.STATEMENT,
    "ESCAPE expression": Fault.STATEMENT,
    "JSON path": Fault.STATEMENT,
    "sub-select returns": Fault.STATEMENT,
    "integer overflow": Fault.ROW_REFUSED,
    "malformed JSON": Fault.ROW_REFUSED,
}


def classify(error: BaseException) -> Fault:
    """Return the fault that a sqlite3 error stands for."""
    error = driver_error(error)
    if not isinstance(error, sqlite3.Error):
        return Fault.OTHER
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault.OTHER
    if code & 0xFF == sqlite3.SQLITE_ERROR:  # a missing collation has an extended code of it
        return next((fault for words, fault in _TEXTS.items() if words in str(error)), Fault.OTHER)
    return _CODES.get(code, _CODES.get(code & 0xFF, Fault.OTHER))


def message(error: BaseException) -> str:
    """Return SQLite's message, which names tables and columns but repeats no values."""
    return str(driver_error(error))


def is_no_text(error: BaseException) -> bool:
    """Whether the error means that the file has a text which is not valid UTF-8."""
    return str(driver_error(error)).startswith("Could not decode to UTF-8")
