"""The time functions and volatile functions of MariaDB and MySQL."""

from batchops.db.mysql import literals
from batchops.db.sql_functions import SqlFunctions, TimeFunction, listed

_AS_DATETIME = "TIMESTAMP'{}'"
_AS_DATE = "DATE'{}'"
_AS_TIME = "TIME'{}'"

# name, template of its literal, whether it is also written without parentheses, whether it takes a precision
_FAMILIES = (
    ("now", _AS_DATETIME, False, True),
    ("current_timestamp", _AS_DATETIME, True, True),
    ("localtime", _AS_DATETIME, True, True),
    ("localtimestamp", _AS_DATETIME, True, True),
    ("utc_timestamp", _AS_DATETIME, True, True),
    ("curdate", _AS_DATE, False, False),
    ("current_date", _AS_DATE, True, False),
    ("utc_date", _AS_DATE, True, False),
    ("curtime", _AS_TIME, False, True),
    ("current_time", _AS_TIME, True, True),
    ("utc_time", _AS_TIME, True, True),
)


def _time_functions() -> dict[str, TimeFunction]:
    found = {"unix_timestamp()": TimeFunction("CAST(UNIX_TIMESTAMP() AS CHAR)", "{}")}
    for name, literal, bare, precise in _FAMILIES:
        endings = ["()", *([""] if bare else []), *([f"({n})" for n in range(7)] if precise else [])]
        for ending in endings:
            # The cast prints as many fractional digits as the function has, and they set the literal's precision.
            select = f"CAST({name.upper()}{ending or '()'} AS CHAR)"
            found[name + ending] = TimeFunction(select, literal)
    return found


_TIME = "it moves on during the run; use NOW(), or --older-than or --before"
_RANDOM = "it gives another value at each call, so a repeated batch would differ"
_SEQUENCE = "it moves or reads a sequence, which no rollback undoes"
_SESSION = "each batch may run on another connection, after other statements"
_EFFECT = "it does more than compute a value"

_REASONS = {
    _TIME: "sysdate()",
    _RANDOM: "rand() uuid() uuid_short() uuid_v4() uuid_v7() sys_guid() random_bytes() encrypt(1)",
    _SEQUENCE: "nextval() lastval() setval()",
    _SESSION: "last_insert_id() row_count() found_rows() connection_id()",
    _EFFECT: """sleep() benchmark() get_lock() release_lock() release_all_locks() is_free_lock()
        is_used_lock() load_file() master_pos_wait() source_pos_wait() master_gtid_wait()
        wait_for_executed_gtid_set() wait_until_sql_thread_after_gtids() sys_exec() sys_eval()""",
    "the table's definition decides the value; write it out": "default default()",
}
_VOLATILE = {name: reason for reason, names in _REASONS.items() for name in names.split()}
_VOLATILE |= dict.fromkeys(("next value", "previous value"), _SEQUENCE)
_VOLATILE |= dict.fromkeys(("into outfile", "into dumpfile"), _EFFECT)

SQL_FUNCTIONS = SqlFunctions(
    dialect="mysql",
    time_functions=_time_functions(),
    volatile=_VOLATILE,
    fresh=listed(
        """rand() uuid() uuid_short() uuid_v4() uuid_v7() sys_guid() random_bytes() encrypt(1) nextval() default
        default()"""
    )
    | {"next value"},
    names=frozenset({"current_user", "current_role", "session_user", "row_start", "row_end"}),
    quote="`",
    shadows=listed(
        """current_user current_role current_date current_time current_timestamp localtime localtimestamp utc_date
        utc_time utc_timestamp"""
    ),
    folds=False,
    literal=literals.literal,
)
"""The functions of MariaDB 10.6+ and MySQL 8. MariaDB's versioned tables have hidden columns row_start and row_end."""
