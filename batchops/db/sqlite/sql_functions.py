"""SQLite's time functions and volatile functions."""

from batchops.db.sql_functions import SqlFunctions, TimeFunction
from batchops.db.sqlite import literals

_TEXT = "'{}'"
_STAMP = "datetime('now')"

_CLOCK = {
    "'now'": TimeFunction("strftime('%Y-%m-%d %H:%M:%f', 'now')", _TEXT),
    "current_timestamp": TimeFunction(_STAMP, _TEXT),
    "current_date": TimeFunction("date('now')", _TEXT),
    "current_time": TimeFunction("time('now')", _TEXT),
    "datetime()": TimeFunction(_STAMP, _TEXT),
    "date()": TimeFunction("date('now')", _TEXT),
    "time()": TimeFunction("time('now')", _TEXT),
    # 17 digits: a cast to text keeps 15, which loses the milliseconds of a Julian day.
    "julianday()": TimeFunction("printf('%!.17g', julianday('now'))", "{}"),
    "unixepoch()": TimeFunction("strftime('%s', 'now')", "{}"),
}

_RANDOM = "it gives another value at each call, so a repeated batch would differ"
_SESSION = "it tells what this connection did before, and that is the run's own work"
_EFFECT = "it does more than compute a value"

_VOLATILE = {
    **dict.fromkeys(("random()", "randomblob()"), _RANDOM),
    **dict.fromkeys(("changes()", "total_changes()", "last_insert_rowid()"), _SESSION),
    **dict.fromkeys(
        ("load_extension()", "readfile()", "writefile()", "edit()", "raise()", "fts3_tokenizer()"), _EFFECT
    ),
    "strftime(1)": "it means the present; add 'now' as its second argument, or use --older-than or --before",
}

SQL_FUNCTIONS = SqlFunctions(
    dialect="sqlite",
    time_functions=_CLOCK,
    volatile=_VOLATILE,
    fresh=frozenset({"random()", "randomblob()"}),
    names=frozenset({"rowid", "_rowid_", "oid"}),
    quote='"',
    shadows=frozenset({"current_date", "current_time", "current_timestamp"}),
    folds=False,
    literal=literals.literal,
    time_arguments={
        **dict.fromkeys(("date", "time", "datetime", "julianday", "unixepoch"), (0,)),
        "strftime": (1,),
        "timediff": (0, 1),
    },
)
"""SQLite's functions. The string 'now' is pinned only where a time function reads it as a time; modifiers stay."""
