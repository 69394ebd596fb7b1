"""SQLite's clock words and volatile functions."""

from batchops.db.sql_functions import ClockWord, Words
from batchops.db.sqlite import literals

_TEXT = "'{}'"
_STAMP = "datetime('now')"

_CLOCK = {
    "'now'": ClockWord("strftime('%Y-%m-%d %H:%M:%f', 'now')", _TEXT),
    "current_timestamp": ClockWord(_STAMP, _TEXT),
    "current_date": ClockWord("date('now')", _TEXT),
    "current_time": ClockWord("time('now')", _TEXT),
    "datetime()": ClockWord(_STAMP, _TEXT),
    "date()": ClockWord("date('now')", _TEXT),
    "time()": ClockWord("time('now')", _TEXT),
    # 17 digits: as text a real keeps 15, which loses milliseconds of a Julian day.
    "julianday()": ClockWord("printf('%!.17g', julianday('now'))", "{}"),
    "unixepoch()": ClockWord("strftime('%s', 'now')", "{}"),
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

WORDS = Words(
    dialect="sqlite",
    clock=_CLOCK,
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
"""The string 'now' is a clock word only where a time function reads it as a time; modifiers stay."""
