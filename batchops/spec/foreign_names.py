"""Names of commands and options of other tools, each with a hint that names the equivalent of batchops."""

import re
from collections.abc import Collection

PURGE = "purge deletes rows: batchops purge TABLE --where …"
BACKFILL = "backfill updates rows: batchops backfill TABLE --set … --where …"
DRAIN = "drain hands rows to a handler: batchops drain TABLE --where … --call …"
RELAY = "relay delivers an outbox's events: batchops relay TABLE --to URL"
REDRIVE = "`batchops queue redrive` and `batchops outbox redrive` put back what was given up"
GOES_ON = "the same command continues where its last run stopped; `batchops runs` lists the runs"
RUNS = "`batchops runs` lists the runs, `batchops show` shows one"
QUEUES = "`batchops queue show` and `batchops outbox show` show how many rows or events wait and which failed"
PLAN = "every verb takes --dry-run (-n): it shows the plan and changes nothing"
INIT = "`batchops ledger init`, `batchops queue init` and `batchops outbox init` prepare what each needs"

_COMMANDS = {
    PURGE: "delete del remove rm clean cleanup clean-up truncate expire wipe",
    "purge deletes rows of a table; `batchops ledger prune` removes old runs from the ledger": "prune",
    BACKFILL: "update fill populate migrate modify anonymize anonymise",
    DRAIN: "consume work worker workers process dequeue handle",
    RELAY: "publish send deliver dispatch emit forward",
    "`batchops outbox replay` sends events again that were sent": "replay resend",
    REDRIVE: "retry requeue redrive reprocess rerun",
    GOES_ON: "continue",
    RUNS: "list ls ps history jobs progress log logs info inspect",
    f"{RUNS}; {QUEUES}": "status stat stats state",
    QUEUES: "failed failures dlq dead-letters dead-letter pending lag",
    PLAN: "plan dry-run dryrun preview explain simulate",
    "`batchops run FILE` runs the jobs of a recipe": "exec execute apply start do",
    "`batchops schedule FILE…` runs recipes at their times": "cron scheduler daemon serve every",
    INIT: "init setup install create",
    "`batchops check TABLE` looks for what would make a job unsafe; `batchops recipe check` reads a recipe": (
        "doctor lint validate verify test diagnose"
    ),
    "batchops --version prints it": "version",
}
_SUBCOMMANDS = {
    "queue": {"`batchops queue show` does that": "status list ls stats info inspect", REDRIVE: "retry requeue replay"},
    "outbox": {
        "`batchops outbox show` does that": "status list ls stats info inspect",
        "`batchops outbox redrive` tries refused events again, replay sends sent ones again": "retry requeue resend",
        "`batchops outbox check` proves the order of what was sent": "verify validate",
    },
    "ledger": {"`batchops ledger init --apply` makes the tables": "create make setup migrate upgrade"},
    "recipe": {
        "`batchops recipe check` does that": "validate lint verify",
        "`batchops recipe new` does that": "create init generate",
        "`batchops run FILE` runs a recipe": "run execute apply start",
    },
}
"""Hints for names after a group's name; a name that is missing here has the hint that it has without the group."""

_OPTIONS = {
    "batches run unless --dry-run is given; --yes answers the question": "execute apply commit run go no-dry-run",
    "--yes answers the question": "force confirm no-confirm assume-yes non-interactive no-input auto-approve",
    "plan and progress are shown unless --quiet is given; --events FILE keeps every event": (
        "verbose v vv debug trace log-level loglevel statistics stats"
    ),
    "--events FILE keeps every event as a JSON line": "log log-file logfile",
    "--quiet prints nothing if the run ended well": "silent no-output s",
    "--json prints one document": "format output output-format o",
    "--progress-every 30s prints a line that often": "progress progress-interval status-interval",
    "--dry-run shows the plan and changes nothing": "dryrun noop no-op simulate preview plan explain test whatif",
    "--batch-size is the rows of a batch, --max-rows those of the whole run": "limit rows count-limit top max",
    "--batch-size fixes the rows of a batch": (
        "chunk-size chunksize chunk chunks batch batchsize txn-size bulk-size page-size commit-each commit-every "
        "block-size fetch-size prefetch"
    ),
    "--max-time ends the run, --statement-timeout a statement": "timeout",
    "--max-time ends the run after so long": "run-time runtime duration time-limit max-duration max-runtime",
    "--sleep waits so long after each batch": "pause delay interval sleep-time wait-time rest",
    "--nice waits after each batch in proportion to it": "nice-ratio",
    "--max-rate bounds the rows of a second": "rate rate-limit rps",
    "--retry-timeout limits how long a batch is retried": (
        "retries retry max-retries default-retries num-retries retry-count retry-time"
    ),
    "--max-attempts limits how often a row is tried": "max-tries tries attempts",
    "--where selects the rows": ("where-clause filter condition predicate query sql select criteria q w"),
    "--all-rows replaces a condition": "all no-where everything",
    "--older-than 90d --by COLUMN takes rows by their age": (
        "older age days retention keep max-age ttl older-than-days keep-days"
    ),
    "--by names the time column": "date-column time-column timestamp-column created-column age-column",
    "--set 'COLUMN = EXPRESSION' changes a column": "update values assign column value expression",
    "--key names the columns that identify rows": "pk primary-key id-column key-column index-column unique-key",
    "--order orders the rows": "order-by sort sort-by priority",
    "--workers N works in parallel": "threads parallel parallelism jobs concurrency processes procs j num-workers",
    "--strategy chooses how rows are found": "walk method algorithm index",
    "the database is named by --url, as in postgresql://user@host/database": (
        "host user username password port database db dbname dsn uri connection conn connection-string source d h u p"
    ),
    "the table is the argument after the command": "table t table-name queue outbox",
    "--restart starts from the beginning; without it, the same command continues": (
        "reset fresh from-scratch no-resume start-over"
    ),
    "the same command continues by itself; --restart starts from the beginning": "resume continue checkpoint",
    "--lease sets how long rows are held without a heartbeat": "visibility-timeout lease-time lock-time ttr",
    "--call MODULE:FUNCTION hands rows to a Python function": "handler function callback python func",
    "--exec runs a program for each row": "command cmd script program shell",
    "--post URL posts each row": "webhook http endpoint",
    "--to names the destination": "broker sink destination dest target bootstrap-servers",
    "--poll 10s keeps running and looks that often": "watch follow forever daemon loop poll-interval",
    "--done marks a row as done": "on-success success ack",
    "--failed marks a row that is given up": "on-failure on-error dead-letter dlq",
    "--max-rejected N allows more rows that the database refuses": "skip-errors ignore-errors ignore max-errors",
}


def _by_name(table: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for hint, names in table.items():
        for name in names.split():
            found.setdefault(name, []).append(hint if hint.endswith("…") else f"{hint}.")
    return found


def command_hint(name: str, group: str = "") -> str:
    """Return the hint for a command name that another tool uses; empty if none uses it."""
    own = _by_name(_SUBCOMMANDS.get(group, {})).get(name.lower())
    found = own or _by_name(_COMMANDS).get(name.lower())
    return found[0] if found else ""


def option_hint(name: str, having: Collection[str]) -> str:
    """Return the hint for an option, with or without dashes; empty if it names options that are not in `having`."""
    plain = name.lstrip("-").replace("_", "-").lower()
    for hint in _by_name(_OPTIONS).get(plain, ()):
        if set(re.findall(r"--[a-z][a-z-]*", hint)) <= set(having):
            return hint
    return ""
