import sqlite3

import psycopg
import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from batchops import errors
from batchops.db.faults import Fault, one_line, translate, underway
from batchops.db.mysql import faults as mysql
from batchops.db.postgresql import faults as postgresql
from batchops.db.sqlite import faults as sqlite


@pytest.mark.parametrize(
    ("states", "fault"),
    [
        ("40001 40P01 53300 53100 55006", Fault.TRANSIENT),
        ("55P03", Fault.LOCK_TIMEOUT),
        ("57014", Fault.TIMED_OUT),
        ("57P01 57P02 57P03 57P05 08000 08003 08006 25P03 25P04", Fault.CONNECTION_LOST),
        ("08007 40003", Fault.OUTCOME_UNKNOWN),
        ("21000", Fault.SEVERAL_ROWS),
        ("25006", Fault.READ_ONLY),
        ("23503 23505 23514 23502 P0001 22003 22P02 40002 44000", Fault.ROW_REFUSED),
        ("42501", Fault.DENIED),
        ("28P01 28000 3D000", Fault.LOGIN),
        ("42P01 3F000", Fault.NO_TABLE),
        ("42703", Fault.NO_COLUMN),
        ("42804 42601 42883 0A000", Fault.STATEMENT),
        ("XX000 XX001 XX002 58030", Fault.CORRUPT),
        ("55000 42P05 01000", Fault.OTHER),
    ],
)
def test_postgresql_classes(states: str, fault: Fault) -> None:
    for state in states.split():
        error = psycopg.OperationalError("text")
        error.sqlstate = state
        assert postgresql.classify(error) is fault, state


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("consuming input failed: server closed"), Fault.CONNECTION_LOST),
        (psycopg.OperationalError("the connection is closed"), Fault.CONNECTION_LOST),
        (psycopg.OperationalError("failed to resolve host 'x': unknown"), Fault.UNREACHABLE),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), Fault.UNREACHABLE),
        (psycopg.DataError("text fields cannot contain NUL"), Fault.ROW_REFUSED),
        (psycopg.ProgrammingError("bug"), Fault.OTHER),
        (ValueError("bug"), Fault.OTHER),
    ],
)  # fmt: skip
def test_postgresql_without_a_state(error: Exception, fault: Fault) -> None:
    assert postgresql.classify(error) is fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('FATAL:  password authentication failed for user "u"', Fault.LOGIN),
        ('FATAL:  database "x" does not exist', Fault.LOGIN),
        ("FATAL:  sorry, too many clients already", Fault.TRANSIENT),
        ("FATAL:  the database system is starting up", Fault.UNREACHABLE),
        ("session is read-only", Fault.READ_ONLY),
        ("No such file or directory; socket does not exist", Fault.UNREACHABLE),
        ("FATAL:  la autentificación password falló", Fault.UNREACHABLE),
    ],
)
def test_postgresql_refusing_a_connection(text: str, fault: Fault) -> None:
    error = psycopg.OperationalError(f"connection failed: {text}\nmore")
    assert postgresql.classify(error) is fault
    assert postgresql.message(error) == text


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ("1213 1020 1040 1114 1021 1206 1203 3019 3100 3231", Fault.TRANSIENT),
        ("1205 3572", Fault.LOCK_TIMEOUT),
        ("1969 3024 1317", Fault.TIMED_OUT),
        ("2006 2013 2055 1053 1927 0 3032 3168 3169", Fault.CONNECTION_LOST),
        ("1047", Fault.WRONG_NODE),
        ("1290 1792 1836", Fault.READ_ONLY),
        ("1451 1452 1062 1644 1264 1048 1406 3819 4025", Fault.ROW_REFUSED),
        ("1142 1143 1044 1227", Fault.DENIED),
        ("1045 1049 1698 1130 3159 4150", Fault.LOGIN),
        ("2002 2003 2005", Fault.UNREACHABLE),
        ("1146", Fault.NO_TABLE),
        ("1054", Fault.NO_COLUMN),
        ("1064 1305 1055 1140 3065", Fault.STATEMENT),
        ("1242", Fault.SEVERAL_ROWS),
        ("1030 1034 1194 145", Fault.CORRUPT),
        ("1999", Fault.OTHER),
    ],
)
def test_mysql_classes(numbers: str, fault: Fault) -> None:
    for number in numbers.split():
        assert mysql.classify(pymysql.err.OperationalError(int(number), "text")) is fault, number


def test_mysql_without_a_number() -> None:
    assert mysql.classify(pymysql.err.Error("Already closed")) is Fault.CONNECTION_LOST
    assert mysql.classify(pymysql.err.OperationalError()) is Fault.OTHER
    assert mysql.classify(ValueError("bug")) is Fault.OTHER


def sqlite_error(code: int, text: str = "text") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_BUSY, Fault.TRANSIENT),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Fault.TRANSIENT),
        (sqlite3.SQLITE_LOCKED, Fault.TRANSIENT),
        (sqlite3.SQLITE_FULL, Fault.TRANSIENT),
        (sqlite3.SQLITE_INTERRUPT, Fault.TIMED_OUT),
        (sqlite3.SQLITE_IOERR_FSYNC, Fault.CONNECTION_LOST),
        (sqlite3.SQLITE_READONLY_DIRECTORY, Fault.READ_ONLY),
        (sqlite3.SQLITE_READONLY_DBMOVED, Fault.SCHEMA),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Fault.ROW_REFUSED),
        (sqlite3.SQLITE_AUTH, Fault.DENIED),
        (sqlite3.SQLITE_CORRUPT_INDEX, Fault.CORRUPT),
        (sqlite3.SQLITE_NOTADB, Fault.CORRUPT),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, Fault.UNREACHABLE),
        (sqlite3.SQLITE_MISUSE, Fault.OTHER),
    ],
)
def test_sqlite_classes(code: int, fault: Fault) -> None:
    assert sqlite.classify(sqlite_error(code)) is fault


def test_sqlite_without_a_code() -> None:
    assert sqlite.classify(sqlite3.ProgrammingError("Cannot operate on a closed database.")) is Fault.OTHER
    assert sqlite.classify(ValueError("bug")) is Fault.OTHER


def test_sqlalchemys_wrapping_is_seen_through() -> None:
    inner = pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")
    outer = OperationalError("DELETE FROM t WHERE secret = %s", {"p": "S3CR3T"}, inner)
    assert mysql.classify(outer) is Fault.LOCK_TIMEOUT
    assert mysql.message(outer) == "Lock wait timeout exceeded"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.TRANSIENT, errors.TransientError),
        (Fault.LOCK_TIMEOUT, errors.LockTimeoutError),
        (Fault.TIMED_OUT, errors.TimedOutError),
        (Fault.CONNECTION_LOST, errors.ConnectionLostError),
        (Fault.OUTCOME_UNKNOWN, errors.OutcomeUnknownError),
        (Fault.WRONG_NODE, errors.ConnectionLostError),
        (Fault.ROW_REFUSED, errors.RowRefusedError),
        (Fault.DENIED, errors.DeniedError),
        (Fault.READ_ONLY, errors.RefusedError),
        (Fault.UNREACHABLE, errors.UnreachableError),
        (Fault.LOGIN, errors.UnreachableError),
        (Fault.NO_TABLE, errors.NotFoundError),
        (Fault.MISSING_CODE, errors.MissingCodeError),
        (Fault.NO_COLUMN, errors.UsageError),
        (Fault.STATEMENT, errors.UsageError),
        (Fault.SCHEMA, errors.IntegrityError),
        (Fault.CORRUPT, errors.IntegrityError),
        (Fault.OTHER, errors.BatchopsError),
    ],
)
def test_every_fault_has_its_error(fault: Fault, error: type[errors.BatchopsError]) -> None:
    translated = translate(fault, "what the\n server\x1b]0; said")
    assert type(translated) is error
    refused = fault is Fault.ROW_REFUSED  # its reason is shown beside the row
    assert translated.message.endswith(("" if refused else ": ") + "what the server ]0; said")


def test_every_fault_is_translated() -> None:
    for fault in Fault:
        assert translate(fault, "").message.endswith(".")


def test_what_a_fault_means_in_the_middle_of_a_run() -> None:
    for gone in (Fault.NO_TABLE, Fault.NO_COLUMN, Fault.STATEMENT):
        assert translate(underway(gone), "x").exit == 13
    for passing in (Fault.READ_ONLY, Fault.UNREACHABLE, Fault.TRANSIENT):
        assert translate(underway(passing), "x").exit == 75
    assert underway(Fault.DENIED) is Fault.DENIED


def test_one_line_is_bounded() -> None:
    assert one_line("a\r\n\tb  c") == "a b c"
    assert len(one_line("x" * 10_000)) == 400
