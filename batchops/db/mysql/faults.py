"""Which fault each of PyMySQL's errors is, by a table of MySQL's and MariaDB's error numbers."""

from collections.abc import Sequence

import pymysql
import sqlalchemy as sa

from batchops.db.faults import Fault, RefusedRow, driver_error
from batchops.db.mysql.refused_together import refuses_each
from batchops.db.table import Table
from batchops.db.types import KeyValue

_NUMBERS: dict[Fault, tuple[int, ...]] = {
    # Full tables and disks, memory, connections; a record changed since it was read; a packet too large (a
    # smaller batch fits); deadlock and Galera's lost certification; MySQL's full undo log, and group replication's
    # hook, rollback and transaction that is too large for it.
    Fault.TRANSIENT: (1020, 1021, 1037, 1038, 1040, 1041, 1114, 1153, 1203, 1206, 1213, 1226, 3019, 3100, 3101, 3231),
    Fault.LOCK_TIMEOUT: (1205, 3572),
    Fault.TIMED_OUT: (1317, 1969, 3024),
    # 0 is PyMySQL's own for a socket that is closed; 1927 is MariaDB's, 3168, 3169 and 4031 are MySQL's for a session
    # that was ended; 3032: MySQL is offline for its administrator.
    Fault.CONNECTION_LOST: (
        *(0, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014, 2055),
        *(3032, 3168, 3169, 4031),
    ),
    Fault.OUTCOME_UNKNOWN: (1180,),
    # 1047: a Galera node that has left the cluster.
    Fault.WRONG_NODE: (1047,),
    Fault.READ_ONLY: (1290, 1792, 1836),
    Fault.DENIED: (1044, 1142, 1143, 1227, 1370),
    Fault.UNREACHABLE: (2002, 2003, 2005),
    Fault.LOGIN: (1045, 1049, 1129, 1130, 1251, 1698, 1820, 1862, 2026, 2059, 3118, 3159, 4150, 4151),
    Fault.NO_TABLE: (1051, 1146, 1932),
    Fault.NO_COLUMN: (1054, 1247),
    Fault.SEVERAL_ROWS: (1242,),
    Fault.STATEMENT: (
        1055,
        1064,
        1111,
        1140,
        1191,
        1210,
        1241,
        1267,
        1271,
        1305,
        1318,
        1582,
        1584,
        1630,
        3065,
        4078,
        4100,
    ),
    Fault.CORRUPT: (126, 127, 144, 145, 1030, 1034, 1035, 1194, 1195, 1712, 1877),
    # Keys and references, checks (3819 MySQL, 4025 MariaDB), SIGNAL, values that do not fit.
    Fault.ROW_REFUSED: (
        *(1048, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762, 3819, 4025),
        *(
            1264,
            1265,
            1292,
            1364,
            1365,
            1366,
            1406,
            1411,
            1416,
            1425,
            1441,
            1526,
            1644,
            1690,
            1748,
            3140,
            4038,
        ),
    ),
}
_FAULTS = {number: fault for fault, numbers in _NUMBERS.items() for number in numbers}
# For numbers that are not in the table: the class of the SQLSTATE, which PyMySQL keeps since 1.2.
_STATES = {
    "08": Fault.CONNECTION_LOST,
    "22": Fault.ROW_REFUSED,
    "23": Fault.ROW_REFUSED,
    "45": Fault.ROW_REFUSED,
}


def classify(error: BaseException) -> Fault:
    """Return the fault that a PyMySQL error stands for."""
    error = driver_error(error)
    if not isinstance(error, pymysql.err.Error):
        return Fault.OTHER
    number = error.args[0] if error.args else None
    if not isinstance(number, int):
        # The only error without a number that is not a bug: the socket was closed during the call.
        return Fault.CONNECTION_LOST if "Already closed" in str(number) else Fault.OTHER
    state = str(getattr(error, "sqlstate", None) or "")
    return _FAULTS.get(number) or _STATES.get(state[:2], Fault.OTHER)


def message(error: BaseException) -> str:
    """Return the server's message, without the SQL that the one for a syntax error repeats."""
    error = driver_error(error)
    text = str(error.args[-1]) if error.args else str(error)
    if error.args and error.args[0] == 1064:
        return text.partition(" near '")[0].partition(";")[0]
    return text or "the connection is closed"


class MySQLFaults:
    """What PyMySQL's errors mean; MySQL names no row."""

    classify = staticmethod(classify)
    message = staticmethod(message)
    refuses_each = staticmethod(refuses_each)

    def refused_row(
        self, connection: sa.Connection, error: BaseException, table: Table, names: Sequence[str],  # noqa: ARG002
        keys: Sequence[KeyValue],  # noqa: ARG002
    ) -> RefusedRow | None:  # fmt: skip
        return None
