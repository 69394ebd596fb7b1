"""The demo database, to try batchops without risk: a SQLite file with a table of events, half of them expired."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from batchops.errors import UsageError
from batchops.spec.command_line import quoted

# One statement and plain arithmetic: fast on slow machines, and the same rows every time. Of every thousand
# rows exactly 500 have expired, scattered; created_at rises with id and covers the last 180 days.
_TABLE = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    user_email TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expired INTEGER NOT NULL
)
"""
_ROWS = """
WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < :rows)
INSERT INTO events
SELECT
    n,
    'user' || (n * 7919 % 50021) || '@example.com',
    CASE n * 31 % 5 WHEN 0 THEN 'login' WHEN 1 THEN 'search' WHEN 2 THEN 'purchase' WHEN 3 THEN 'view'
        ELSE 'logout' END,
    '{"ip":"10.0.' || (n % 256) || '.' || (n * 13 % 256) || '","ms":' || (n * 37 % 900) || '}',
    datetime(:now - (:rows - n) * :span / :rows, 'unixepoch'),
    n * 7919 % 1000 < 500
FROM number
WHERE n <= :rows
"""
_HALF_A_YEAR = 180 * 86_400


def make_demo_database(path: Path, rows: int = 1_000_000) -> None:
    """Create the SQLite file `path`, whose table `events` has `rows` rows; after an error there is no file."""
    if path.exists():
        raise UsageError(f'"{path}" exists already.', "name another file, or remove this one first.")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        _fill(unfinished, rows)
        os.replace(unfinished, path)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            f'The demo database "{path}" cannot be written: {error}.', "choose a folder with 200 MB of free space."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _fill(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # The file can be made again at any time, so it needs no journal while it is written.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        database.execute(_TABLE)
        (now,) = database.execute("SELECT CAST(strftime('%s', 'now') AS INTEGER)").fetchone()
        database.execute(_ROWS, {"rows": rows, "now": now, "span": _HALF_A_YEAR})
        database.execute("CREATE INDEX events_created_at ON events (created_at)")
        database.execute("ANALYZE")
        database.execute("COMMIT")


def what_to_try(path: Path, rows: int = 1_000_000) -> str:
    """Return the text after the demo: what to try on the demo database, then on the user's own."""
    url = quoted(f"sqlite:///{path}")
    return f"""\
{path}: table events had {rows:,} rows, half of them expired; batchops has deleted those.

Look at another purge first; this changes nothing:
  batchops purge events --url {url} --where "kind = 'login'" --dry-run
Then purge them. Ctrl-C stops it after the current batch, and the same command continues:
  batchops purge events --url {url} --where "kind = 'login'"
By age instead of a flag:
  batchops purge events --url {url} --older-than 90d --by created_at

With a database of your own, in the same order:
  export BATCHOPS_URL=postgresql://user@host/name      (or mysql://…, or sqlite:///file)
  batchops purge TABLE --where 'CONDITION' --dry-run
  batchops purge TABLE --where 'CONDITION' --sleep 100ms --max-rows 10000
"""
