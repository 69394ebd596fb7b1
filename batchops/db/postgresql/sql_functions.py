"""PostgreSQL's time functions and volatile functions."""

from batchops.db.postgresql import literals
from batchops.db.sql_functions import SqlFunctions, TimeFunction, listed

# to_char and not a cast: the text of a cast depends on the session's DateStyle.
_ZONED = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'"
_LOCAL = "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')"
_PLAIN = "CAST({} AS text)"


def _time_functions() -> dict[str, TimeFunction]:
    zoned = ("now()", "transaction_timestamp()", "statement_timestamp()")
    found = {word: TimeFunction(_ZONED.format(word), "TIMESTAMP WITH TIME ZONE '{}'") for word in zoned}
    found["current_date"] = TimeFunction("to_char(current_date, 'YYYY-MM-DD')", "DATE '{}'")
    for digits in ("", *(f"({n})" for n in range(7))):
        for name, select, literal in (
            ("current_timestamp", _ZONED, f"TIMESTAMP{digits} WITH TIME ZONE '{{}}'"),
            ("localtimestamp", _LOCAL, f"TIMESTAMP{digits} WITHOUT TIME ZONE '{{}}'"),
            ("current_time", _PLAIN, f"TIME{digits} WITH TIME ZONE '{{}}'"),
            ("localtime", _PLAIN, f"TIME{digits} WITHOUT TIME ZONE '{{}}'"),
        ):
            found[name + digits] = TimeFunction(select.format(name + digits), literal)
    return found


_TIME = "it moves on during the run; use now(), or --older-than or --before"
_RANDOM = "it gives another value at each call, so a repeated batch would differ"
_SEQUENCE = "it moves or reads a sequence, which no rollback undoes"
_TRANSACTION = "each batch is a transaction of its own"
_SESSION = "each batch may run on another connection"
_EFFECT = "it does more than compute a value"
_OUTSIDE = "it reads something outside the table's transaction"

_REASONS = {
    _TIME: "clock_timestamp() timeofday() age(1) uuid_generate_v1() uuid_generate_v1mc() uuidv7()",
    _RANDOM: """random() random_normal() setseed() gen_random_uuid() gen_random_bytes() gen_salt()
        uuid_generate_v4() uuidv4() array_sample() array_shuffle() bernoulli() system()""",
    _SEQUENCE: "nextval() currval() lastval() setval() pg_sequence_last_value() pg_nextoid()",
    _TRANSACTION: """txid_current() txid_current_if_assigned() txid_current_snapshot() txid_status()
        txid_snapshot_xmin() txid_snapshot_xmax() pg_current_xact_id() pg_current_xact_id_if_assigned()
        pg_current_snapshot() pg_xact_status() pg_xact_commit_timestamp() pg_export_snapshot()
        pg_last_committed_xact()""",
    _SESSION: "pg_backend_pid() pg_trigger_depth() current_query() inet_client_port()",
    _EFFECT: """pg_sleep() pg_sleep_for() pg_sleep_until() set_config() pg_notify() pg_advisory_lock()
        pg_advisory_lock_shared() pg_advisory_unlock() pg_advisory_unlock_all() pg_advisory_unlock_shared()
        pg_advisory_xact_lock() pg_advisory_xact_lock_shared() pg_try_advisory_lock()
        pg_try_advisory_lock_shared() pg_try_advisory_xact_lock() pg_try_advisory_xact_lock_shared()
        pg_terminate_backend() pg_cancel_backend() pg_reload_conf() pg_rotate_logfile() pg_promote()
        pg_switch_wal() pg_create_restore_point() pg_backup_start() pg_backup_stop() pg_logical_emit_message()
        pg_wal_replay_pause() pg_wal_replay_resume() pg_log_backend_memory_contexts()
        pg_drop_replication_slot()
        pg_stat_reset() pg_stat_reset_shared() pg_stat_reset_single_table_counters() lo_creat() lo_create()
        lo_export() lo_from_bytea() lo_import() lo_open() lo_put() lo_truncate() lo_unlink() lowrite()
        dblink() dblink_exec() dblink_connect() dblink_open() dblink_fetch() dblink_send_query()
        query_to_xml() query_to_xmlschema() query_to_xml_and_xmlschema() database_to_xml() cursor_to_xml()
        ts_stat() ts_rewrite(2)""",
    _OUTSIDE: """pg_read_file() pg_read_binary_file() pg_stat_file() pg_ls_dir() pg_ls_logdir()
        pg_ls_tmpdir() pg_ls_waldir() pg_ls_archive_statusdir() pg_current_logfile() lo_get() loread()
        pg_current_wal_lsn() pg_current_wal_insert_lsn() pg_current_wal_flush_lsn() pg_last_wal_receive_lsn()
        pg_last_wal_replay_lsn() pg_last_xact_replay_timestamp() pg_is_in_recovery() pg_blocking_pids()
        pg_relation_size() pg_table_size() pg_indexes_size() pg_total_relation_size() pg_database_size()
        pg_tablespace_size()""",
    "the table's definition decides the value; write it out": "default",
}

SQL_FUNCTIONS = SqlFunctions(
    dialect="postgres",
    time_functions=_time_functions(),
    volatile={name: reason for reason, names in _REASONS.items() for name in names.split()},
    fresh=listed(
        """random() random_normal() gen_random_uuid() gen_random_bytes() gen_salt() uuid_generate_v1()
        uuid_generate_v1mc() uuid_generate_v4() uuidv4() uuidv7() array_sample() array_shuffle() nextval() default"""
    ),
    names=listed(
        """ctid xmin xmax cmin cmax tableoid current_user session_user system_user user current_role
        current_catalog current_schema normalized"""
    ),
    quote='"',
    shadows=listed(
        """user current_user session_user system_user current_role current_catalog current_schema current_date
        current_time current_timestamp localtime localtimestamp"""
    ),
    folds=True,
    literal=literals.literal,
    catalog="pg_catalog",
    signs=frozenset({"?", "@", "@@"}),
    moments=frozenset({"now", "today", "yesterday", "tomorrow"}),
    time_types=frozenset({"date", "time", "timestamp", "timestamptz", "timetz"}),
)
"""The functions of PostgreSQL 13 to 18. `statement_timestamp()` is pinned as `now()` is: in one statement by itself
both are the same."""
