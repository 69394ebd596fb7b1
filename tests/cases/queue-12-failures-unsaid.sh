#!/bin/bash
# A drain whose every row failed said "done, nothing to do", exit 0, and not one reason, on a terminal and without: a
# handler that is misspelt, takes a row instead of a list, or finds its service down looked like an empty queue. With -q
# nothing at all. Rows given up on ended in 0 as well once a limit ended the run.
# Reports: kraiz/django-crontab#99 (exit 0 after an exception, cron never mails); new users' first command.
# Expected: "0 of 3 done, 3 failed and wait: <the reason>", the first reasons printed without a terminal too, and another
# exit code than 0 when work was tried and none of it went through (3); 3 for rows given up on, limit or not.
. "$(dirname "$0")/servers.sh"
export BATCHOPS_URL=$PG
new_postgresql
P -c "create table jobs(id bigserial primary key, name text, status text default 'new')" -c "insert into jobs(name) select 'job ' || i from generate_series(1, 3) i"
batchops queue init jobs --apply >/dev/null
cat > work.py <<'S'
import time
def send(rows): raise OSError("the mail server is down")
def slow(rows): time.sleep(0.5); send(rows)
S
try() {
  echo "--- $1"; shift
  P -c "update jobs set attempts = 0, next_at = null, lease = null, failure = null"
  batchops drain jobs --where "status = 'new'" --done "status = 'done'" --backoff 1h -y "$@" 2>&1; echo "exit $?"
}
try "a program that is not there" --exec "python3 nothere.py"
try "a function that is misspelt" --call work:sent
try "a service that is down" --call work:send
try "the same with -q" --call work:send -q
try "given up on, no limit" --call work:send --max-attempts 1
try "given up on, --max-batches" --call work:send --max-attempts 1 --max-batches 3
try "given up on, --max-time" --call work:slow --max-attempts 1 --poll 100ms --max-time 300ms
P -c "select status, attempts, failure from jobs order by id"
